"""GET /metrics, read by Prometheus' own parser."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from model.door.answer import Answer
from model.door.metrics import LEFT, Metrics
from model.door.readiness import Readiness
from model.door.stopwatch import Stopwatch
from model.engine.errors import OutOfMemory, QueueFull
from model.engine.request import Finished, GenerationRequest, Piece, Reading, SamplingSettings, Waiting
from tests.model.door.asking import HI, Door, ready
from tests.model.door.scripted_engine import Script, ScriptedEngine


def samples(text: str) -> dict[str, float]:
    """`name` or `name{reason}` -> value; a histogram's buckets left out."""
    return {
        sample.name + (f"{{{sample.labels['reason']}}}" if "reason" in sample.labels else ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "le" not in sample.labels
    }


def of(door: Door) -> dict[str, float]:
    return samples(door.get("/metrics").text)


def asked(script: Script, *, stream: bool = True, **body: Any) -> dict[str, float]:
    """The metrics after one request."""
    door = Door(ready(ScriptedEngine(script)))
    door.post("/v1/chat/completions", {**HI, "stream": stream, **body})
    return of(door)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answers_times_and_its_end_are_counted(stream: bool) -> None:
    script = (Waiting(1), 0.1, Reading(), 0.1, Piece("a"), 0.2, Piece("b"), Finished("length", 9, 3))
    told = asked(script, stream=stream)
    assert told["llava_loop_requests_total{length}"] == 1
    assert (
        0.1
        <= told["llava_loop_time_in_queue_seconds_sum"]
        < told["llava_loop_time_to_first_token_seconds_sum"]
    )
    assert told["llava_loop_time_to_first_token_seconds_sum"] >= 0.2
    per_token = told["llava_loop_time_per_token_seconds_sum"]
    after_the_first = (
        told["llava_loop_request_seconds_sum"] - told["llava_loop_time_to_first_token_seconds_sum"]
    )
    assert 0.1 <= per_token <= after_the_first / 2, "of two tokens after the first"
    assert told["llava_loop_request_seconds_count"] == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ((QueueFull(64),), "queue_full"),
        ((Reading(), OutOfMemory(1, 0, "no")), "out_of_memory"),
        ((Reading(), Piece("a")), "internal"),
        ((Reading(), ZeroDivisionError()), "internal"),
    ],
)
def test_every_failure_is_counted_once_by_its_code(script: Script, reason: str, stream: bool) -> None:
    told = asked(script, stream=stream)
    assert told[f"llava_loop_requests_total{{{reason}}}"] == 1
    assert told["llava_loop_request_seconds_count"] == 1


def test_a_refused_body_is_counted_too_and_what_was_sent_never_becomes_a_label() -> None:
    door = Door(ready(ScriptedEngine()))
    door.post("/v1/chat/completions", b"{")
    door.post("/v1/chat/completions", {**HI, "model": "no such thing"})
    told = door.get("/metrics").text
    assert samples(told)["llava_loop_requests_total{invalid_request}"] == 1
    assert samples(told)["llava_loop_requests_total{model_not_found}"] == 1 and "no such thing" not in told


def test_a_reader_who_leaves_is_counted_as_such_and_whoever_got_all_is_not() -> None:
    async def left(script: Script, num_events: int) -> dict[str, float]:
        metrics = Metrics(Readiness("x"))
        events = ScriptedEngine(script).stream(GenerationRequest("scripted", (1,), (), SamplingSettings()))
        answer = Answer("scripted", events, await anext(events), Stopwatch(metrics))
        stream = answer.stream(include_usage=False)
        for _ in range(num_events):
            await anext(stream)
        await answer.close()
        return samples(metrics.text().decode())

    script = (Reading(), Piece("a"), Finished("stop", 1, 1))
    assert asyncio.run(left(script, 2))[f"llava_loop_requests_total{{{LEFT}}}"] == 1
    whole = asyncio.run(left(script, 4))
    assert (
        whole["llava_loop_requests_total{stop}"] == 1 and f"llava_loop_requests_total{{{LEFT}}}" not in whole
    )


def test_the_engines_numbers_are_told_as_they_are_now() -> None:
    told = of(Door(ready(ScriptedEngine())))
    assert (told["llava_loop_ready"], told["llava_loop_requests_running"]) == (1, 0)
    assert (told["llava_loop_prompt_tokens_total"], told["llava_loop_reused_prompt_tokens_total"]) == (40, 10)
    assert (told["llava_loop_prompt_reuse_ratio"], told["llava_loop_batch_rows_mean"]) == (0.25, 2.5)
    assert (told["llava_loop_cache_bytes"], told["llava_loop_cache_use_ratio"]) == (1000, 0.25)


def test_before_the_model_is_there_the_door_answers_all_the_same() -> None:
    assert of(Door(Readiness("x")))["llava_loop_ready"] == 0


def test_the_token_is_asked_for_and_the_type_is_prometheus() -> None:
    door = Door(ready(ScriptedEngine()), "secret")
    assert door.get("/metrics", {"Authorization": ""}).status_code == 401
    told = door.get("/metrics")
    assert told.status_code == 200 and told.headers["Content-Type"].startswith("text/plain; version=")
