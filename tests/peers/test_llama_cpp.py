"""The page's side with llama-cpp-python's server, text only: it describes itself, and ends no answer at our mark."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.worker_client import ChatRequest, Finished, Piece, ServerFeatures, WorkerClient
from app.worker_process import WorkerOptions, WorkerProcess
from app.worker_status import WorkerStatus
from conversations.messages import Message
from tests.peers.other_server import ROOT, running_server
from tests.peers.transformers_server import DEMO, converted, needs_the_model

PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PROGRAM = Path(__file__).with_name("gguf_program.py")
QUESTIONS = ("Hello!", "What can you do?", "Who are you?")


def _is_built() -> bool:
    """Whether scripts/install_peers.py could build it here, with its server."""
    asked = [str(PYTHON), "-c", "import gguf, llama_cpp.server.app, safetensors"]
    return PYTHON.is_file() and subprocess.run(asked, capture_output=True, timeout=120).returncode == 0


pytestmark = [
    pytest.mark.nightly,
    pytest.mark.timeout(600),
    needs_the_model,
    pytest.mark.skipif(
        not PYTHON.is_file(),
        reason="llama-cpp-python is not built; `python -m scripts.install_peers` does it",
    ),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not _is_built():
        pytest.skip(
            "llama-cpp-python is here without its server; `python -m scripts.install_peers` installs it"
        )
    folder = tmp_path_factory.mktemp("llama")
    weights = folder / "demo.gguf"
    subprocess.run(
        [PYTHON, PROGRAM, converted(folder), weights], check=True, capture_output=True, timeout=200
    )

    def command(port: int) -> list[str]:
        options = {"--model": str(weights), "--model_alias": "demo", "--host": "127.0.0.1", "--port": str(port),
                   "--n_ctx": "1024", "--n_threads": "1"}  # fmt: skip
        return [str(PYTHON), "-m", "llama_cpp.server", *(each for pair in options.items() for each in pair)]

    with running_server(command, folder, health="/v1/models") as address:
        yield address


def answer(client: WorkerClient, *texts: str, **settings: object) -> tuple[str, Finished]:
    """The likeliest answer to a conversation of questions and answers by turns."""
    messages = tuple(
        Message("assistant" if place % 2 else "user", (text,)) for place, text in enumerate(texts)
    )
    request = ChatRequest(messages, temperature=0.0, max_new_tokens=60, **settings)  # type: ignore[arg-type]
    events = list(client.stream(request))
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, Piece)), events[-1]


def test_what_it_offers_is_read_from_its_own_description(url: str) -> None:
    health = WorkerClient(url).health()
    assert (health.state, health.model, health.models) == ("ready", "demo", ("demo",))
    assert health.features == ServerFeatures(seed=True, top_k=True, stop=True)
    assert WorkerStatus("Ready", True, health=health).lacks == ("prompt", "adapters")


def test_its_answers_are_our_workers_to_the_letter_cut_where_ours_end(url: str, tmp_path: Path) -> None:
    ours = WorkerProcess(WorkerOptions(str(DEMO), device="cpu"), tmp_path / "worker.log")
    ours.start()
    try:
        assert ours.wait_until_ready(200).phase == "ready"
        worker, other = WorkerClient(ours.base_url, ours.token), WorkerClient(url)
        for question in QUESTIONS:
            told, end = answer(other, question)
            assert told == answer(worker, question)[0] and told and end.reason == "stop"
        follow_up = ("Hello!", answer(worker, "Hello!")[0], "What can you do?")
        assert answer(other, *follow_up)[0] == answer(worker, *follow_up)[0]
    finally:
        ours.stop()


def test_a_text_to_end_at_is_taken_by_the_server_itself(url: str) -> None:
    whole, _ = answer(WorkerClient(url), "Hello!")
    shorter, end = answer(WorkerClient(url), "Hello!", stop=(whole[5:8],))
    assert shorter == whole[: whole.index(whole[5:8])] and end.reason == "stop"
