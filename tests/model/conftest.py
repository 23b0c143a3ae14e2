"""One real worker with a tiny checkpoint for all tests that ask one over HTTP: importing torch takes long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from app.worker_child import worker_command
from app.worker_client import WorkerClient
from app.worker_process import RestartPace, WorkerOptions, WorkerProcess
from tests.model.asking_worker import data_url

CACHE_GB = 0.000486
"""1,898 tokens of the tiny model: one long answer at a time, and whoever comes with another has to wait."""


@pytest.fixture(scope="package")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its likeliest answer never ends by itself: there is always time to stop it, to wait behind it or to kill it."""
    from model import checkpoint  # here: it imports torch, which many tests do without
    from tests.model.tiny import tiny_llava

    model, tokenizer = tiny_llava()
    ends = tokenizer.convert_tokens_to_ids(["</s>", "#", "##", "<0x23>"])
    model.lm_head.weight.data[ends] = 0
    folder = tmp_path_factory.mktemp("models") / "tiny"
    checkpoint.save(folder, model, tokenizer)
    return folder


@pytest.fixture(scope="package")
def worker(checkpoint_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    """One worker for all tests here: importing torch takes long."""
    log_path = tmp_path_factory.mktemp("var") / "worker.log"
    root = tmp_path_factory.mktemp("runs")
    options = WorkerOptions(str(checkpoint_folder), device="cpu", cache_gb=CACHE_GB, adapter_root=str(root))
    running = WorkerProcess(
        options,
        log_path,
        pace=RestartPace(first_seconds=0.1),
        command=lambda port: unhurried(worker_command(options, port)),
    )
    running.start()
    state = running.wait_until_ready(300)
    assert state.phase == "ready", f"{state}\n{log_path.read_text()}"
    yield running
    running.stop()


def unhurried(command: list[str]) -> list[str]:
    return [word.replace("model.worker", "tests.model.unhurried_worker") for word in command]


@pytest.fixture
def client(worker: WorkerProcess) -> WorkerClient:
    return WorkerClient(worker.base_url, worker.token, data_url=data_url)


@pytest.fixture
def other(worker: WorkerProcess) -> Iterator[openai.OpenAI]:
    """The official client."""
    with openai.OpenAI(base_url=f"{worker.base_url}/v1", api_key=worker.token, max_retries=0) as made:
        yield made
