"""One streamed call, read by a thread of its own, so that the reader may look up, or leave, while nothing comes.

Not every server sends a sign of life while it reads the prompt, and a blocking read can neither notice Stop nor be
closed from outside; so a thread reads, the caller waits for it in short steps, and leaving shuts the socket down.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import httpx

from app.worker_errors import WorkerDied, WorkerError, WorkerProtocolError, WorkerTimeout, WorkerUnreachable

MAX_LINE_BYTES = 4_000_000
"""A line of an event stream is one piece of text; a server that sends more than this is not one."""


class EventStream:
    """The lines of one server-sent event stream. Use it as a context manager; leaving it ends the call."""

    def __init__(self, base_url: str, client: httpx.Client, request: httpx.Request) -> None:
        self._base_url = base_url
        self._client = client
        self._request = request
        self._request.extensions = {**request.extensions, "trace": self._note_socket}
        self._lines: queue.SimpleQueue[str | WorkerError | httpx.Response | None] = queue.SimpleQueue()
        self._socket: socket.socket | None = None
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._read, name="worker-call", daemon=True)

    def __enter__(self) -> EventStream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it may have ended by itself a moment ago
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=1.0)

    def lines(self, heartbeat_seconds: float) -> Iterator[str | httpx.Response | None]:
        """Each line as it comes, None when nothing came for a moment; ends with the stream.

        An answer with an error status comes as the whole httpx.Response instead. Raises a WorkerError.
        """
        while True:
            try:
                line = self._lines.get(timeout=heartbeat_seconds)
            except queue.Empty:
                yield None
                continue
            if line is None:
                return
            if isinstance(line, WorkerError):
                raise line
            yield line

    def _note_socket(self, event: str, info: dict[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.connect_unix_socket.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
            if self._left.is_set() and self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        begun = False
        try:
            with contextlib.closing(self._client), contextlib.closing(self._send()) as response:
                if response.status_code >= 400:
                    response.read()
                    self._lines.put(response)
                else:
                    begun = True
                    self._put_lines(response)
        except httpx.HTTPError as error:
            self._lines.put(as_worker_error(error, self._base_url, begun=begun))
        except OSError as error:  # the socket was shut down under its reader
            self._lines.put(WorkerDied(self._base_url, str(error)))
        except WorkerError as error:
            self._lines.put(error)
        finally:
            self._lines.put(None)

    def _send(self) -> httpx.Response:
        return self._client.send(self._request, stream=True)

    def _put_lines(self, response: httpx.Response) -> None:
        for line in split_lines(response.iter_bytes(), self._base_url):
            if self._left.is_set():
                return
            self._lines.put(line)


def split_lines(chunks: Iterable[bytes], base_url: str = "") -> Iterator[str]:
    """Lines that end with LF or CRLF, however they are cut into chunks, without these; the last may lack its end.

    Not by `str.splitlines`, nor httpx's `iter_lines`: they also break at U+2028, U+0085 and other characters that JSON
    leaves as they are in a text. Raises WorkerProtocolError for a line of more than MAX_LINE_BYTES, unread.
    """
    begun = b""
    for chunk in chunks:
        *whole, begun = (begun + chunk).split(b"\n")
        for line in (*whole, begun):
            if len(line) > MAX_LINE_BYTES:
                raise WorkerProtocolError(base_url, f"a line of more than {MAX_LINE_BYTES:,} bytes came")
        for line in whole:
            yield _text(line)
    if begun:
        yield _text(begun)


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")


def as_worker_error(error: httpx.HTTPError, base_url: str, *, begun: bool = False) -> WorkerError:
    """The one edge where httpx's exceptions become ours. `begun`: the answer had started."""
    cause = str(error) or type(error).__name__
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        timeout = error.request.extensions.get("timeout", {})
        return WorkerTimeout(base_url, float(timeout.get("read") or 0.0))
    if begun:
        return WorkerDied(base_url, cause)
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
        return WorkerDied(base_url, cause)
    return WorkerUnreachable(base_url, cause)
