"""Adapters in the real worker: loaded by vLLM's convention, asked for by name, and there again after a restart."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from app.worker_client import ChatRequest, ModelNotFound, Piece, WorkerClient, WorkerRefused
from app.worker_process import RestartPace, WorkerOptions, WorkerProcess
from conversations.messages import ImageRef, Message
from tests.model.asking_worker import health, wait_for

ASKED = (Message("user", (ImageRef("red"), "What is it?")),)


def write_adapter(folder: Path, seed: int) -> None:
    """As PEFT itself writes one for the tiny checkpoint, with weights that change every answer."""
    import torch
    from peft import LoraConfig, get_peft_model

    from tests.model.tiny import tiny_llava

    model, _ = tiny_llava()
    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=64, target_modules=r".*language_model.*(q_proj|v_proj|down_proj)")
    adapted = get_peft_model(model, config)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    adapted.save_pretrained(folder)


@pytest.fixture(scope="module")
def worker(checkpoint_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    """One that may be killed, with a folder of two adapters."""
    root = tmp_path_factory.mktemp("runs")
    for number, name in enumerate(("kind", "terse")):
        write_adapter(root / "job" / name, number)
    options = WorkerOptions(str(checkpoint_folder), device="cpu", adapter_root=str(root))
    running = WorkerProcess(options, root / "worker.log", pace=RestartPace(first_seconds=0.1))
    running.start()
    assert running.wait_until_ready(300).phase == "ready", (root / "worker.log").read_text()
    yield running
    running.stop()


def answer(client: WorkerClient, model: str) -> str:
    request = ChatRequest(ASKED, model=model, temperature=0.0, max_new_tokens=16)
    return "".join(event.text for event in client.stream(request) if isinstance(event, Piece))


def test_adapters_are_asked_for_by_name_and_survive_the_death_of_the_worker(
    client: WorkerClient, worker: WorkerProcess
) -> None:
    base = answer(client, "tiny")
    client.load_adapter("kind", "job/kind")
    client.load_adapter("terse", "job/terse")
    assert client.models() == client.health().models == ("tiny", "kind", "terse")
    answers = {name: answer(client, name) for name in ("tiny", "kind", "terse")}
    assert answers["tiny"] == base and len(set(answers.values())) == 3, "each answers in its own way"

    assert worker.process_id is not None
    os.kill(worker.process_id, signal.SIGKILL)
    wait_for(lambda: worker.state.num_restarts == 1 and worker.state.phase == "ready", seconds=300)
    assert {name: answer(client, name) for name in answers} == answers

    client.unload_adapter("kind")
    with pytest.raises(ModelNotFound, match="'tiny' or 'terse'"):
        answer(client, "kind")
    assert health(worker)["adapters"] == ["terse"]


def test_a_folder_outside_or_without_an_adapter_is_refused_in_words(client: WorkerClient) -> None:
    for path, words in (("../..", "below the worker's"), ("/etc", "below the worker's"), ("job", "adapter")):
        with pytest.raises(WorkerRefused, match=words):
            client.load_adapter("other", path)


def test_the_openai_client_sees_parent_and_root(worker: WorkerProcess, client: WorkerClient) -> None:
    client.load_adapter("listed", "job/kind")
    with openai.OpenAI(base_url=f"{worker.base_url}/v1", api_key=worker.token, max_retries=0) as other:
        card: Any = other.models.retrieve("listed")
    assert (card.root, card.parent) == ("listed", "tiny")


def test_the_prompt_view_counts_what_an_answer_counts_and_the_metrics_count_both(
    worker: WorkerProcess, client: WorkerClient
) -> None:
    shown = client.prompt(ASKED)
    events = list(client.stream(ChatRequest(ASKED, temperature=0.0, max_new_tokens=4)))
    assert events[-1].num_prompt_tokens == len(shown.token_ids)  # type: ignore[union-attr]
    assert (
        not any(shown.mask) and shown.token_ids.count(shown.image_token_id) == shown.tokens_per_picture == 16
    )
    answered = client.prompt((*ASKED, Message("assistant", ("Red.",))))
    learnt = "".join(text for text, trained in zip(answered.tokens, answered.mask, strict=True) if trained)
    assert learnt.strip() == "Red.###" and answered.token_ids[: len(shown.token_ids)] == shown.token_ids
    token = {"Authorization": f"Bearer {worker.token}"}
    told = httpx.get(f"{worker.base_url}/metrics", headers=token, timeout=180).text
    value = {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in told.splitlines() if line[0] != "#"
    }
    assert value["llava_loop_time_to_first_token_seconds_count"] >= 1
    assert value["llava_loop_generated_tokens_total"] >= 4 and value["llava_loop_cache_budget_bytes"] > 0
    assert 0 < value["llava_loop_prompt_reuse_ratio"] < 1, "the second question had the first one's beginning"
