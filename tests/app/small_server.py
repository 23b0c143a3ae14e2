"""Small servers on a real socket, that answer by path as they are told and write down what was posted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Handler = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers by path; remembers what was posted."""

    def __init__(self, pages: dict[str, Handler]) -> None:
        self.posted: list[dict[str, Any]] = []
        outer = self

        class Door(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                pages.get(self.path, reply(404, {"detail": "Not Found"}))(self)

            def do_POST(self) -> None:
                outer.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.do_GET()

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    @contextmanager
    def running(self) -> Iterator[Server]:
        thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        thread.start()
        yield self
        self._http.shutdown()
        self._http.server_close()


def reply(status: int, body: object, **headers: str) -> Handler:
    def handle(door: BaseHTTPRequestHandler) -> None:
        data = json.dumps(body).encode()
        door.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            door.send_header(name.replace("_", "-"), value)
        door.end_headers()
        door.wfile.write(data)

    return handle


def sse(*lines: str | float) -> Handler:
    """Text is written as a line of the stream, a number is a pause in seconds."""

    def handle(door: BaseHTTPRequestHandler) -> None:
        door.send_response(200)
        door.send_header("Content-Type", "text/event-stream")
        door.end_headers()
        for line in lines:
            if isinstance(line, float):
                time.sleep(line)
            else:
                door.wfile.write(f"{line}\n\n".encode())

    return handle


def piece(text: str | None, reason: str | None = None, **more: object) -> str:
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": reason}
    return "data: " + json.dumps({"choices": [choice], **more})
