"""A job in words and numbers for the page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.job_values import Job
from app.training_request import TrainingRequest
from app.training_view import form_values, left_out, line, phase_words, settings_html, told
from app.training_words import before_and_after, duration, facts, fraction, gigabytes
from model.training.config import DataSource
from model.training.recipes import config_for
from model.training.run_folder import RunFolder
from model.training.status import RunStatus


def job(status: RunStatus | None = None, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "id": "0" * 32, "name": "<b>colours</b>", "actor": "user:root", "phase": "running", "words": "Training",
        "config": config_for("lora", "a<b", (DataSource("x&y.json", "pics", 0.5),)), "status": status,
        "folder": RunFolder(Path("runs/<x>")), "device": "cpu", "frees_worker": True,
        "created_at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "started_at": None, "ended_at": None,
    }  # fmt: skip
    return Job(**values | changes)


def test_how_far_a_run_is_follows_its_steps_and_before_them_its_phase() -> None:
    assert fraction(RunStatus("training", step=3, num_steps=12)) == 0.25
    assert fraction(RunStatus("stopped", step=3, num_steps=12)) == 0.25
    assert fraction(RunStatus("failed")) is None
    assert fraction(RunStatus("encoding", fraction=0.5)) == 0.5
    assert fraction(RunStatus("loading")) is None and fraction(None) is None
    assert (
        told(job(RunStatus("loading")))["unknown"]
        and not told(job(RunStatus("encoding", fraction=0.1)))["unknown"]
    )
    assert told(job(phase="done"))["fraction"] == 1.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": RunStatus("evaluating")}, "Asking held-out questions"),
        ({"status": RunStatus("done")}, "Ending"),
        ({"status": None}, "Running"),
        ({"status": RunStatus("training"), "phase": "stopping"}, "Stopping"),
        ({"status": RunStatus("training"), "phase": "failed"}, "Failed"),
        ({"phase": "queued"}, "Waiting"),
    ],
)
def test_a_phase_has_words(changes: dict[str, Any], words: str) -> None:
    assert phase_words(job(**changes)) == words
    assert line(job(**changes))["about"] == f"{words} · lora"


def test_only_what_can_be_done_is_offered() -> None:
    offered = {
        phase: told(job(phase=phase))["can"] for phase in ("queued", "running", "stopping", "stopped", "done")
    }
    assert offered["queued"] == {"stop": True, "resume": False, "delete": True}
    assert offered["running"] == {"stop": True, "resume": False, "delete": False}
    assert offered["stopping"] == {"stop": False, "resume": False, "delete": False}
    assert offered["stopped"] == {"stop": False, "resume": True, "delete": True}
    assert offered["done"] == {"stop": False, "resume": False, "delete": True}


def test_settings_are_shown_as_text() -> None:
    html = settings_html(job())
    assert (
        "a&lt;b" in html and "x&amp;y.json, pictures in pics, 50 % of it" in html and "runs/&lt;x&gt;" in html
    )
    assert "out of memory while it runs" in html and "<dt>LoRA rank</dt>" in html


@pytest.mark.parametrize("share", [1.0, 0.25, 1 / 3, 0.07, 42.45046160771171, 1e-5])
def test_a_share_comes_back_from_the_form_as_it_was(share: float) -> None:
    config = config_for(
        "lora", "base", (DataSource("a.json", share=share), DataSource("b.json", share=share))
    )
    filled = form_values(config, "again")
    for name in ("data", "mixed"):
        assert TrainingRequest(filled).choice(name).share == share
    assert left_out(config) == ""


def test_sources_that_the_form_has_no_place_for_are_named() -> None:
    config = config_for("lora", "base", tuple(DataSource(f"{name}.json") for name in "abcd"))
    assert left_out(config).startswith(
        "This run learned from 4 sources, and the form has room for 2: c.json; d.json left out."
    )


def test_numbers_are_told_as_far_as_they_are_known() -> None:
    known = facts(
        RunStatus(
            "training", step=1_200, num_steps=5_000, epoch=0.2441, num_epochs=1.0, seconds_left=3_700.0,
            tokens_per_second=1_234.5, memory_bytes=13_500_000_000, num_skipped=2, matched_before=0.05,
            held_out_loss_before=1.5, held_out_loss_after=0.25, matched_after=0.8, device="cuda",
        )
    )  # fmt: skip
    assert known == {
        "step": "1,200 of 5,000", "epoch": "0.244 of 1", "left": "1 h 02 min", "speed": "1,234 tokens/s",
        "memory": "13.5 GB", "device": "cuda", "skipped": "2 pictures", "held_out": "1.500 → 0.250",
        "matched": "5 % → 80 %",
    }  # fmt: skip
    assert facts(None) == {} and set(facts(RunStatus()).values()) == {""}
    assert facts(RunStatus("done", seconds_left=3.0))["left"] == ""


def test_how_long_it_took_is_told_when_it_has_ended() -> None:
    begun, ended = datetime(2026, 1, 2, 3, 4, tzinfo=UTC), datetime(2026, 1, 2, 3, 6, 5, tzinfo=UTC)
    assert told(job(started_at=begun, ended_at=ended, phase="done"))["facts"]["took"] == "2 min 05 s"
    assert told(job(started_at=begun))["facts"]["took"] == ""


def test_spans_and_sizes() -> None:
    spans = [0.4, 59, 60, 125, 600, 3_599, 3_600, 90_000, 400_000]
    assert [duration(each) for each in spans] == [
        "0 s", "59 s", "1 min 00 s", "2 min 05 s", "10 min", "60 min", "1 h 00 min", "25 h 00 min", "4 days 15 h",
    ]  # fmt: skip
    assert [gigabytes(each) for each in (0, 549_000_000, 960_000_000, 14e9)] == [
        "0 MB",
        "549 MB",
        "1.0 GB",
        "14.0 GB",
    ]
    assert before_and_after(None, None, "{}") == "" and before_and_after(0.5, None, "share") == "50 %"
