"""Changing the model: what may be picked, what is remembered, and that the old one comes back if the new one fails."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import worker_process
from app.browser_event import BrowserEvent
from app.chat_events import ChatEvents
from app.model_picker import LONGEST_NAME, ModelPicker
from app.model_trial import ModelTrial
from app.picture_routes import Tickets
from app.recent_models import RecentModels
from app.settings import ROOT
from app.turns import Turns
from app.worker_child import WorkerOptions
from app.worker_process import RestartPace, WorkerProcess
from conversations.errors import InvalidText
from conversations.store import ConversationStore
from tests.app.scripted_worker import READY
from tests.app.test_worker_process import HEALTHY, _alive, wait_for

FAST = RestartPace(first_seconds=3000, longest_seconds=3000, poll_seconds=0.02)
DIES = "raise SystemExit('no memory')"
LOOKS = """
import json, os, sys, time
folder = sys.argv[1]
with open(os.path.join(folder, "pid"), "w") as file:
    file.write(str(os.getpid()))
def tell(**told):
    print(json.dumps(told), flush=True)
while os.path.exists(os.path.join(folder, "slow")):
    tell(fraction=0.25, words="Downloading it: 1 of 4 GB, 3 min left")
    time.sleep(0.02)
if os.path.exists(os.path.join(folder, "odd")):
    tell(failed="its config is odd.")
    sys.exit(1)
if os.path.exists(os.path.join(folder, "mute")):
    sys.exit(3)
tell(fits=True)
"""


@pytest.fixture
def recent(tmp_path: Path) -> RecentModels:
    return RecentModels(tmp_path / "recent_models.json")


@pytest.fixture
def worker(tmp_path: Path, recent: RecentModels, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerProcess]:
    """Small programs instead of models: a folder with a file `fault` cannot be loaded, one with `dies` ends at once.
    And instead of looks: `odd` fails it, `mute` ends it without a word, and it lasts while there is a file `slow`."""

    def command(options: WorkerOptions, port: int) -> list[str]:
        folder = Path(options.model)
        source = DIES if (folder / "dies").exists() else HEALTHY
        return [sys.executable, "-c", source, str(port), str(folder / "fault")]

    monkeypatch.setattr(worker_process, "worker_command", command)
    started = WorkerOptions(str(folder(tmp_path, "old")), template="llava_v1", device="cpu", cache_gb=0.5)
    process = WorkerProcess(
        started,
        tmp_path / "worker.log",
        pace=FAST,
        look=lambda options, freed_by: [sys.executable, "-c", LOOKS, options.model, str(freed_by)],
        on_ready=recent.remember,
    )
    process.start()
    yield process
    process.stop()


def folder(tmp_path: Path, name: str, *files: str) -> Path:
    made = tmp_path / name
    made.mkdir()
    for each in files:
        (made / each).touch()
    return made


def switch(picker: ModelPicker, **data: Any) -> None:
    picker.switch(BrowserEvent({key: str(value) for key, value in data.items()}))


def is_ready(worker: WorkerProcess, name: Path) -> Callable[[], bool]:
    return lambda: worker.options.model == str(name) and worker.state.phase == "ready"


def test_a_switch_starts_the_new_model_on_the_same_machine_and_the_old_one_is_offered(
    worker: WorkerProcess, recent: RecentModels, tmp_path: Path
) -> None:
    picker, new = ModelPicker(worker, recent), folder(tmp_path, "new", "slow")
    wait_for(is_ready(worker, tmp_path / "old"))
    first, address = worker.process_id, worker.base_url
    switch(picker, model=new, dtype="float16", quantize="8bit")
    assert picker.told()["busy"] and worker.process_id == first
    assert picker.told()["words"].startswith((f"Looking at {new}", "Downloading it"))
    (new / "slow").unlink()
    wait_for(is_ready(worker, new))
    assert worker.process_id not in (None, first) and worker.base_url == address
    assert worker.options == WorkerOptions(
        str(new), dtype="float16", quantize="8bit", device="cpu", cache_gb=0.5
    )
    (offered,) = picker.told()["recent"]
    assert (offered["name"], offered["facts"]) == (str(tmp_path / "old"), "template llava_v1")
    switch(picker, recent=offered["key"])
    wait_for(is_ready(worker, tmp_path / "old"))
    assert worker.options.template == "llava_v1" and worker.options.dtype is None
    assert picker.told()["recent"][0]["facts"] == "float16, 8bit"


@pytest.mark.parametrize(("fault", "why"), [("fault", "broken weights."), ("dies", "no memory")])
def test_a_model_that_cannot_be_loaded_is_followed_by_the_one_before(
    worker: WorkerProcess, recent: RecentModels, tmp_path: Path, fault: str, why: str
) -> None:
    picker, bad = ModelPicker(worker, recent), folder(tmp_path, "bad", fault)
    wait_for(is_ready(worker, tmp_path / "old"))
    switch(picker, model=bad)
    wait_for(lambda: worker.last_switch.phase == "failed")
    wait_for(is_ready(worker, tmp_path / "old"))  # at once: a pause would be far longer
    words = picker.told()["failed"]
    assert words.startswith(f"{bad} could not be loaded: ") and why in words
    assert words.endswith(f"{tmp_path / 'old'} is kept.")
    assert picker.told()["recent"] == []


@pytest.mark.parametrize(
    ("fault", "why"), [("odd", "its config is odd."), ("mute", "ended with exit status 3.")]
)
def test_a_model_that_cannot_be_had_is_found_out_while_the_one_before_goes_on(
    worker: WorkerProcess, recent: RecentModels, tmp_path: Path, fault: str, why: str
) -> None:
    picker, bad = ModelPicker(worker, recent), folder(tmp_path, "bad", fault, "slow")
    wait_for(is_ready(worker, tmp_path / "old"))
    before = worker.process_id
    switch(picker, model=bad)
    wait_for(lambda: "1 of 4 GB" in picker.told()["words"])
    told = picker.told()
    assert (told["busy"], told["fraction"], told["running"]["name"]) == (True, 0.25, str(tmp_path / "old"))
    assert worker.state.phase == "ready" and worker.last_switch.phase == "loading"
    (bad / "slow").unlink()
    wait_for(lambda: worker.last_switch.phase == "failed")
    wait_for(lambda: not picker.told()["busy"])
    words = picker.told()["failed"]
    assert words.startswith(f"{bad} could not be loaded: ") and why in words
    assert words.endswith(f"{tmp_path / 'old'} is kept.")
    assert worker.process_id == before and is_ready(worker, tmp_path / "old")()
    assert worker.state.num_restarts == 0 and len(recent.all()) == 1


def test_another_switch_takes_the_place_of_one_that_is_still_looked_at(
    worker: WorkerProcess, recent: RecentModels, tmp_path: Path
) -> None:
    picker = ModelPicker(worker, recent)
    first, second = folder(tmp_path, "first", "slow"), folder(tmp_path, "second")
    wait_for(is_ready(worker, tmp_path / "old"))
    switch(picker, model=first)
    wait_for(lambda: "1 of 4 GB" in picker.told()["words"])
    switch(picker, model=second, dtype="float16")
    wait_for(is_ready(worker, second))
    assert worker.last_switch.phase == "done" and worker.options.device == "cpu"
    assert worker.state.num_restarts == 1


def test_a_worker_that_dies_while_another_model_is_looked_at_comes_back_as_it_was(
    worker: WorkerProcess, recent: RecentModels, tmp_path: Path
) -> None:
    bad = folder(tmp_path, "bad", "slow", "odd")
    wait_for(is_ready(worker, tmp_path / "old"))
    switch(ModelPicker(worker, recent), model=bad)
    wait_for(lambda: worker.state.looking is not None)
    killed = worker.process_id
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: worker.state.phase == "restarting")
    worker.restart()
    wait_for(is_ready(worker, tmp_path / "old"))
    (bad / "slow").unlink()
    wait_for(lambda: worker.last_switch.phase == "failed" and worker.state.looking is None)
    assert is_ready(worker, tmp_path / "old")() and worker.process_id not in (None, killed)


def test_the_end_of_the_page_ends_a_look(worker: WorkerProcess, recent: RecentModels, tmp_path: Path) -> None:
    slow = folder(tmp_path, "slow", "slow")
    wait_for(is_ready(worker, tmp_path / "old"))
    switch(ModelPicker(worker, recent), model=slow)
    wait_for(lambda: worker.state.looking is not None and "1 of 4 GB" in worker.state.looking.words)
    looking = int((slow / "pid").read_text())
    worker.stop()  # which does not wait until the look is done: that would be for ever
    assert worker.state.looking is None and not _alive(looking)
    switch(ModelPicker(worker, recent), model=slow)
    assert worker.state.looking is None and worker.state.phase == "stopped"


def test_what_auto_means_is_said_as_it_is() -> None:
    """As model/device.py chooses: it is not the format of the file."""
    shell = (ROOT / "app" / "shell.html").read_text(encoding="utf-8")
    assert '<option value="auto">32 bits on a CPU, 16 on CUDA</option>' in shell


def test_where_no_model_was_ready_before_the_failed_one_stays_to_tell_why(
    recent: RecentModels, tmp_path: Path
) -> None:
    trial = ModelTrial(WorkerOptions("a"), recent.remember)
    trial.propose(WorkerOptions("b"))
    assert not trial.failed(trial.wanted, "broken")
    assert trial.wanted.model == "b" and trial.switch.phase == "failed" and trial.switch.kept is None


def test_what_the_worker_before_said_does_not_count_for_the_next(recent: RecentModels) -> None:
    before = WorkerOptions("a")
    trial = ModelTrial(before, recent.remember)
    trial.ready(before)
    trial.propose(before)
    trial.ready(before)
    assert trial.switch.phase == "loading" and not trial.failed(before, "it was ended")
    assert not trial.failed(before, "late") and trial.failed(trial.wanted, "broken")
    assert trial.wanted is before


def test_a_ready_model_that_dies_later_is_no_failed_switch(recent: RecentModels) -> None:
    trial = ModelTrial(WorkerOptions("a"), recent.remember)
    trial.propose(WorkerOptions("b"))
    trial.ready(trial.wanted)
    assert trial.switch.phase == "done" and not trial.failed(trial.wanted, "killed")
    assert trial.wanted.model == "b"


class Unmoved:
    """A worker that must not be told to switch."""

    options, last_switch = WorkerOptions("model/demo"), ModelTrial(WorkerOptions(), print).switch
    state = worker_process.WorkerState("ready", 1.0)

    def switch(self, options: WorkerOptions) -> None:
        raise AssertionError(f"switched to {options.model!r}")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Type a checkpoint's folder"),
        ("   ", "Type a checkpoint's folder"),
        ("nothing/of/the/kind", "There is no folder nothing/of/the/kind"),
        ("--host=0.0.0.0", "There is no folder"),
        ("README.md", "There is no folder README.md"),
        ("a\0b", "cannot be shown"),
        ("a\nb", "cannot be shown"),
        ("\ud800", "cannot be shown"),
        ("~nobody-of-this-name/x", "cannot be looked at"),
        ("x" * 300, "xxx… cannot be looked at: File name too long."),
        ("x" * (LONGEST_NAME + 1), "too long"),
        ("https://example.org/a", "There is no folder"),
        ("org/name/more", "There is no folder"),
    ],
)
def test_what_can_be_no_model_is_refused_before_the_running_one_is_ended(
    recent: RecentModels, typed: str, words: str
) -> None:
    with pytest.raises(InvalidText) as refused:
        switch(ModelPicker(Unmoved(), recent), model=typed)
    assert words in str(refused.value) and len(str(refused.value)) < 400


@given(st.text(max_size=60))
def test_whatever_is_typed_gets_a_sentence_or_is_a_folder_or_a_name_on_the_hub(typed: str) -> None:
    picker = ModelPicker(Unmoved(), RecentModels(ROOT / "no such folder" / "x.json"))
    with pytest.raises((InvalidText, AssertionError)) as refused:
        switch(picker, model=typed)
    if isinstance(refused.value, AssertionError):
        assert (ROOT / typed.strip()).is_dir() or typed.count("/") >= 1 or typed.startswith("~")


def test_forged_choices_are_refused(recent: RecentModels) -> None:
    for forged in (
        {"dtype": "int3"},
        {"quantize": "1bit"},
        {"recent": "../../etc"},
        {"model_base": "no/such/base"},
    ):
        with pytest.raises(InvalidText):
            switch(ModelPicker(Unmoved(), recent), **{"model": "model/demo", **forged})


def test_a_name_on_the_hub_is_left_to_the_worker(recent: RecentModels) -> None:
    with pytest.raises(AssertionError, match=r"switched to 'liuhaotian/llava-v1\.5-7b@main'"):
        switch(ModelPicker(Unmoved(), recent), model=" liuhaotian/llava-v1.5-7b@main ")


def test_only_an_admin_sees_the_picker_and_is_obeyed(
    store: ConversationStore, turns: Turns, recent: RecentModels
) -> None:
    events = ChatEvents(
        store, turns, Tickets(b"k" * 32), lambda: READY,
        may_restart=lambda owner: owner == "user:ann", models=ModelPicker(Unmoved(), recent),
    )  # fmt: skip
    told = events.answered(events.status, "user:ann", {})["status"]
    assert told["picker"]["running"]["name"] == "model/demo"
    told = events.answered(events.status, "user:bob", {})["status"]
    assert told["picker"] is None and told["model"] == READY.health.model
    refused = events.answered(events.switch, "user:bob", {"model": "model/demo"})
    assert "Only an admin" in refused["notice"]["words"]


def test_while_a_run_has_the_workers_place_the_picker_says_so(recent: RecentModels) -> None:
    class Paused(Unmoved):
        state = worker_process.WorkerState("paused", reason="The model rests while “x” is trained")

    told = ModelPicker(Paused(), recent).told()
    assert told["busy"] and told["words"] == "The model rests while “x” is trained"
