"""A small Hub on this machine: the few addresses that an upload uses, behaving as huggingface.co does.

Small files come with the commit; large ones are announced, sent one by one (git LFS), and named in the commit by their
SHA-256. What was committed can be looked at.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_a_token_that_may_write"


class LocalHub(ThreadingHTTPServer):
    """`repos` by their names: visibility, and files by branch."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.repos: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, bytes] = {}
        self.cards: list[str] = []
        self.messages: list[str] = []

    def files(self, repo: str, branch: str = "main") -> dict[str, bytes]:
        return self.repos[repo]["branches"][branch]


@contextmanager
def local_hub() -> Iterator[LocalHub]:
    hub = LocalHub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: LocalHub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "Invalid credentials"})
            return
        path = self.path.split("?")[0].strip("/").split("/")
        if path == ["api", "repos", "create"]:
            self._create(json.loads(body))
        elif path == ["api", "validate-yaml"]:
            self.server.cards.append(json.loads(body)["content"])
            self._answer(200, {})
        elif path[:2] == ["api", "models"] and path[4] == "preupload":
            self._preupload(json.loads(body))
        elif path[:2] == ["api", "models"] and path[4] == "commit":
            self._commit("/".join(path[2:4]), path[5], body)
        elif path[:2] == ["api", "models"] and path[4] == "branch":
            self.server.repos["/".join(path[2:4])]["branches"][path[5]] = {}
            self._answer(200, {})
        elif path[2:] == ["info", "lfs", "objects", "batch"]:
            self._announce(json.loads(body))
        else:
            self._answer(404, {"error": self.path})

    def do_PUT(self) -> None:
        """One large file."""
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.objects[hashlib.sha256(data).hexdigest()] = data
        self._answer(200, {})

    def log_message(self, *_: object) -> None:
        """Silent."""

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.server.repos:
            self._answer(
                409, {"error": "You already created this model repo", "url": f"{self.server.url}/{name}"}
            )
            return
        self.server.repos[name] = {"visibility": asked.get("visibility", "public"), "branches": {"main": {}}}
        self._answer(200, {"url": f"{self.server.url}/{name}"})

    def _preupload(self, asked: dict[str, Any]) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for file in asked["files"]
        ]
        self._answer(200, {"files": files})

    def _announce(self, asked: dict[str, Any]) -> None:
        objects = [
            {**wanted, "actions": {"upload": {"href": f"{self.server.url}/objects/{wanted['oid']}"}}}
            for wanted in asked["objects"]
        ]
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _commit(self, repo: str, branch: str, body: bytes) -> None:
        files = self.server.files(repo, branch)
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                self.server.messages.append(value["summary"])
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
        oid = "c" * 40
        self._answer(
            200, {"success": True, "commitOid": oid, "commitUrl": f"{self.server.url}/{repo}/commit/{oid}"}
        )

    def _answer(self, status: int, values: dict[str, Any]) -> None:
        data = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
