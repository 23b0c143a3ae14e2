"""One worker's address and token, and plain calls to it: JSON there, JSON back, errors in our own tree."""

from __future__ import annotations

import ipaddress
import json
import ssl
from typing import Any

import httpx

from app.event_stream import as_worker_error
from app.worker_errors import WorkerProtocolError, WorkerRefused, refusal

CHAT_PATH = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}


class WorkerCalls:
    """Any number of threads may use it: a client is made for every call."""

    def __init__(
        self, base_url: str, token: str | None, *, connect_seconds: float, silence_seconds: float
    ) -> None:
        """Raises ValueError for an address that is no URL."""
        url = httpx.URL(base_url.rstrip("/").removesuffix("/v1"))
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(
                f"The worker's address {base_url!r} is no URL; give one like http://127.0.0.1:8001."
            )
        self.base_url = str(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = httpx.Timeout(silence_seconds, connect=connect_seconds)
        # A proxy for the internet must not stand between the page and its own child.
        self._trust_env = not _is_loopback(url.host)
        # Reading the certificates takes long and a client is made for every call; without TLS nobody needs them.
        self._tls = (
            httpx.create_ssl_context() if url.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )

    def get(self, path: str, timeout_seconds: float) -> object:
        """The JSON at `path`. Raises a WorkerError."""
        return self._json(path, self._call("GET", path, None, timeout_seconds))

    def post(self, path: str, body: dict[str, Any], timeout_seconds: float) -> object:
        """The JSON that answers to `body`. Raises a WorkerError."""
        return self._json(path, self._call("POST", path, body, timeout_seconds))

    def post_for_words(self, path: str, body: dict[str, Any], timeout_seconds: float) -> str:
        """The plain text that answers to `body`. Raises a WorkerError."""
        return self._call("POST", path, body, timeout_seconds).text

    def chat(self, body: dict[str, Any]) -> tuple[httpx.Client, httpx.Request]:
        """A call for an answer, to be streamed; the client is the caller's to close."""
        client = self._client()
        return client, client.build_request("POST", CHAT_PATH, content=_encoded(body), headers=JSON)

    def refusal(self, response: httpx.Response) -> WorkerRefused:
        """The exception for an answer with an error status, whichever way the server words it."""
        try:
            body = response.json()
        except ValueError:
            body = None
        error = body.get("error") if isinstance(body, dict) else None
        if isinstance(error, str) and error:
            error = {"message": error}
        if not isinstance(error, dict):
            told = body.get("detail") if isinstance(body, dict) else None  # FastAPI's own way
            words = told if isinstance(told, str) else json.dumps(told) if told else response.text[:200]
            error = {"message": f"The server answered {response.status_code}: {words}".strip()}
        return refusal(response.status_code, error, response.headers.get("Retry-After"))

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None, timeout_seconds: float
    ) -> httpx.Response:
        timeout = httpx.Timeout(timeout_seconds, connect=self._timeout.connect)
        content, headers = (None, {}) if body is None else (_encoded(body), JSON)
        try:
            with self._client() as client:
                response = client.request(method, path, content=content, headers=headers, timeout=timeout)
        except httpx.HTTPError as error:
            raise as_worker_error(error, self.base_url) from error
        if response.status_code >= 400:
            raise self.refusal(response)
        return response

    def _json(self, path: str, response: httpx.Response) -> object:
        try:
            told: object = response.json()
        except ValueError as error:
            raise WorkerProtocolError(self.base_url, f"{path} is not JSON") from error
        return told

    def _client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.base_url,
            headers=self._headers,
            timeout=self._timeout,
            trust_env=self._trust_env,
            verify=self._tls,
        )


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
