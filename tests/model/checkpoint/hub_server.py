"""A small server that speaks the Hub's endpoints, for the real huggingface_hub client: models from folders."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".bin")
_API = re.compile(r"/api/models/(?P<repository>[^/]+/[^/]+)(/revision/(?P<revision>.+))?")
_FILE = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")


@dataclass
class HubServer:
    """What it serves and what it was asked. `cut_after` ends each answer for weights after so many bytes."""

    models: dict[str, Path]
    gated: frozenset[str] = frozenset()
    cut_after: int | None = None
    broken: bool = False  # after the first cut every request for weights fails
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # file, Range
    endpoint: str = ""
    commit: str = COMMIT  # the newest; older ones are forgotten

    @contextmanager
    def running(self) -> Iterator[HubServer]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _about(path: Path) -> dict[str, object]:
    """As the Hub tells of a file: by its SHA-256 where it is kept by git LFS, as weights are."""
    size, sha256 = path.stat().st_size, _sum_of(path.read_bytes())
    about: dict[str, object] = {"rfilename": path.name, "size": size}
    if path.name.endswith(LARGE):
        return about | {"blobId": "0" * 40, "lfs": {"sha256": sha256, "size": size, "pointerSize": 130}}
    return about | {"blobId": sha256}


def _sum_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Nothing is written to the terminal."""

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            if found := _API.fullmatch(path):
                self._info(found["repository"], found["revision"])
            elif found := _FILE.fullmatch(path):
                self._file(found["repository"], found["name"], with_body)
            else:
                self._refuse(404, "EntryNotFound")

        def _info(self, repository: str, revision: str | None) -> None:
            folder = hub.models.get(repository)
            if folder is None:
                return self._refuse(404, "RepoNotFound")
            if revision not in (None, "main", hub.commit):
                return self._refuse(404, "RevisionNotFound")
            files = [_about(path) for path in sorted(folder.iterdir())]
            self._send(200, json.dumps({"id": repository, "sha": hub.commit, "siblings": files}).encode())

        def _file(self, repository: str, name: str, with_body: bool) -> None:
            if repository in hub.gated:
                return self._refuse(403, "GatedRepo")
            path = hub.models[repository] / name
            if not path.is_file():
                return self._refuse(404, "EntryNotFound")
            data = path.read_bytes()
            headers = {"X-Repo-Commit": hub.commit, "ETag": f'"{_sum_of(data)}"'}
            if not with_body:
                return self._send(200, data, headers, with_body=False)
            wanted = self.headers.get("Range")
            hub.asked.append((name, wanted))
            large = name.endswith(LARGE)
            if large and hub.broken and hub.cut_after is None:
                return self._refuse(500, "")
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            if wanted:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            cut = hub.cut_after if large else None
            if cut is not None and hub.broken:
                hub.cut_after = None
            self._send(206 if wanted else 200, data[start:], headers, cut=cut)

        def _refuse(self, status: int, code: str) -> None:
            self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

        def _send(
            self,
            status: int,
            data: bytes,
            headers: dict[str, str] | None = None,
            *,
            with_body: bool = True,
            cut: int | None = None,
        ) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if with_body:
                self.wfile.write(data if cut is None else data[:cut])
            if cut is not None:
                self.wfile.flush()
                self.close_connection = True

    return Handler
