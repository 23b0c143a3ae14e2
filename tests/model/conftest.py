"""One real worker with a tiny checkpoint for all tests that ask one over HTTP: importing torch takes long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from app.worker_client import WorkerClient
from app.worker_process import RestartPace, WorkerOptions, WorkerProcess
from tests.model.asking_worker import data_url


@pytest.fixture(scope="package")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.model.tiny import write_tiny_checkpoint  # here: it imports torch, which many tests do without

    return write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="package")
def worker(checkpoint_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    """One worker for all tests here: importing torch takes long."""
    log_path = tmp_path_factory.mktemp("var") / "worker.log"
    running = WorkerProcess(
        WorkerOptions(str(checkpoint_folder), device="cpu", adapter_root=str(tmp_path_factory.mktemp("runs"))),
        log_path,
        pace=RestartPace(first_seconds=0.1),
    )
    running.start()
    state = running.wait_until_ready(100)
    assert state.phase == "ready", f"{state}\n{log_path.read_text()}"
    yield running
    running.stop()


@pytest.fixture
def client(worker: WorkerProcess) -> WorkerClient:
    return WorkerClient(worker.base_url, worker.token, data_url=data_url)


@pytest.fixture
def other(worker: WorkerProcess) -> Iterator[openai.OpenAI]:
    """The official client."""
    with openai.OpenAI(base_url=f"{worker.base_url}/v1", api_key=worker.token, max_retries=0) as made:
        yield made
