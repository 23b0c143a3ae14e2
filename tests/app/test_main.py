"""The order of the start: the worker goes first, the page's framework is imported while it loads."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from app import main as start
from app.recent_models import RecentModels
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_until_the_worker_is_started_no_heavy_library_is_imported() -> None:
    program = (
        "import sys, app.main; "
        "print(sorted({'gradio', 'sqlalchemy', 'torch', 'transformers', 'PIL', 'fastapi'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=400, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_worker_is_started_before_the_page_is_built_and_stopped_however_it_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    happened: list[str] = []

    class Worker:
        def __init__(self, options, log_path: Path, *, environment, on_ready) -> None:
            self.model = options.model
            self.environment = environment
            on_ready(options)

        def start(self) -> None:
            happened.append(f"start {self.model}")

        def stop(self) -> None:
            happened.append("stop")

    def serve(
        settings: Settings, worker: Worker, recent: RecentModels, environment: Mapping[str, str]
    ) -> None:
        happened.append("serve")
        assert "HF_HUB_OFFLINE" not in worker.environment and "HF_HUB_OFFLINE" not in environment
        assert os.environ["HF_HUB_OFFLINE"] == "1"
        assert [each.model for each in recent.all().values()] == ["some/where"]
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "WorkerProcess", Worker)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(start, "_serve", serve)
    monkeypatch.setattr(start.signal, "signal", lambda *_: None)
    monkeypatch.chdir(ROOT)
    start.main(["--model", "some/where", "--database-url", f"sqlite:///{tmp_path}/new/chats.db"])
    assert happened == ["start some/where", "serve", "stop"]
    assert (tmp_path / "new").is_dir()


def test_a_worker_elsewhere_is_not_started_here(tmp_path: Path) -> None:
    recent = RecentModels(tmp_path / "recent_models.json")
    assert start._start_worker(Settings(worker_url="http://gpu:8001"), {}, recent) is None


def test_a_port_that_is_taken_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(start.signal, "signal", lambda *_: None)
    monkeypatch.chdir(ROOT)
    with socket.socket() as other, pytest.raises(SystemExit) as ended:
        other.bind(("127.0.0.1", 0))
        other.listen()
        start.main(
            ["--port", str(other.getsockname()[1]), "--database-url", f"sqlite:///{tmp_path}/chats.db"]
        )
    assert ended.value.code == 1
    assert "--port" in capsys.readouterr().err


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere a port cannot be held beside who listens there"
)
def test_a_free_port_is_nobody_elses_until_the_page_listens_there() -> None:
    with start._port(Settings(port=0)) as port:
        with socket.socket() as other, pytest.raises(OSError):
            other.bind(("127.0.0.1", port))
        with http.server.HTTPServer(("127.0.0.1", port), http.server.BaseHTTPRequestHandler) as ours:
            assert ours.server_port == port


def test_a_database_that_cannot_be_opened_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(start.signal, "signal", lambda *_: None)
    monkeypatch.chdir(ROOT)
    (tmp_path / "chats.db").write_text("this is no database " * 100)
    with pytest.raises(SystemExit) as ended:
        start.main(
            [
                "--port",
                "0",
                "--worker-url",
                "http://gpu:1",
                "--database-url",
                f"sqlite:///{tmp_path}/chats.db",
            ]
        )
    assert ended.value.code == 1
    assert "cannot start" in capsys.readouterr().err
