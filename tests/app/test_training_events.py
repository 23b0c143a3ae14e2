"""The training view's answers to events, on a real log and real jobs: what is told, ordered, watched, and refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.jobs import Jobs
from app.library_exports import LibraryExports
from app.training_events import TrainingEvents
from app.training_parts import TrainingParts
from app.training_results import ResultRefused
from app.training_tab import EVENTS
from app.worker_child import WorkerOptions
from conversations.errors import NotFound
from conversations.store import ConversationStore
from model.training.status import RunStatus
from tests.app.library_log import ANN, BOB, ROOT_USER
from tests.app.test_training_sources import data_set
from tests.app.training_page import corrected

ROOT = Path(__file__).resolve().parents[2]
DEMO = str(ROOT / "model" / "demo")
LIBRARY = {"kind": "library", "filters": {"corrected": True}}


@pytest.fixture
def jobs(store: ConversationStore, tmp_path: Path) -> Jobs:
    """Never started: what is ordered waits."""
    return Jobs(store.jobs, tmp_path / "runs", environment={})


@pytest.fixture
def parts(store: ConversationStore, jobs: Jobs, tmp_path: Path) -> Iterator[TrainingParts]:
    exports = LibraryExports(store, tmp_path / "exports")
    url = f"sqlite:///{tmp_path / 'chats.db'}"
    running = WorkerOptions(DEMO, device="cpu")
    made = TrainingParts.of(jobs, store, exports, tmp_path, url, {}, running=lambda: running)
    yield made
    made.stop()
    jobs.close()


@pytest.fixture
def events(parts: TrainingParts) -> TrainingEvents:
    return parts.events(lambda owner: owner == ROOT_USER)


def do(events: TrainingEvents, what: str, owner: str | None = ROOT_USER, /, **data: Any) -> dict[str, Any]:
    return events.answered(getattr(events, what), owner, data)


def order(data: dict[str, Any] = LIBRARY, **changes: Any) -> dict[str, Any]:
    return {
        "name": "colours",
        "recipe": "lora",
        "model": DEMO,
        "data": data,
        "fields": {"max_steps": "3"},
    } | changes


def known(job: str, **changes: Any) -> dict[str, Any]:
    return {"job": job, "fresh": True, "rewinds": 0, "lines": 0, "log": 0} | changes


def test_who_is_no_admin_gets_nothing_from_any_event(
    events: TrainingEvents, jobs: Jobs, store: ConversationStore
) -> None:
    corrected(store, 2)
    job = do(events, "start", **order())["started"]["job"]
    for name in EVENTS:
        for owner in (ANN, BOB, "visitor:x", None):
            assert do(events, name, owner, **(order() | known(job, name="mine"))) == {}, name
    (left,) = jobs.list()
    assert (left.id, left.name, left.phase) == (job, "colours", "queued")


def test_the_door_offers_the_running_model_and_the_data_that_there_is(
    events: TrainingEvents, tmp_path: Path
) -> None:
    data_set(tmp_path / "datasets" / "old")
    door = do(events, "training")["door"]
    assert door["models"][0] == {"value": DEMO, "name": "model/demo", "facts": "running"}
    assert door["sets"] == [{"value": "set:old", "words": "Data set old"}]
    assert door["datasets"] == str(tmp_path / "datasets")


def test_the_form_is_told_counts_the_exact_command_and_a_shared_device(
    events: TrainingEvents, store: ConversationStore, tmp_path: Path
) -> None:
    corrected(store, 3)
    data_set(tmp_path / "datasets" / "old", records=8)
    mixed = {"kind": "set", "name": "set:old", "share": "50"}
    told = do(events, "forecast", key="k", **order(mixed=mixed, fields={"device": "cpu"}))["forecast"]
    assert (told["key"], told["refusal"]) == ("k", "")
    assert told["data"] == {"words": "3 answers in 3 examples with 3 pictures.", "failed": False}
    assert told["mixed"] == {"words": "4 of 8 examples.", "failed": False}
    assert "device (cpu)" in told["shares"]
    assert "--corrected yes" in told["command"] and "scripts.train --run runs/my-run" in told["command"]
    other = do(events, "forecast", **order(fields={"device": "cuda:3"}))["forecast"]
    assert other["shares"] == ""


def test_what_is_wrong_with_the_form_is_told_beside_it(
    events: TrainingEvents, store: ConversationStore
) -> None:
    def refusal(**changes: Any) -> str:
        told = do(events, "forecast", **order(**changes))
        return told["forecast"]["refusal"] if "forecast" in told else told["said"]["words"]

    assert refusal(model="") == "Choose the model to begin with."
    assert refusal(model="nowhere").startswith("There is no folder nowhere; give the path")
    assert refusal(fields={"batch_size": "0"}).startswith("batch_size cannot be 0")
    assert refusal(fields={"batch_size": "many"}) == "batch_size cannot be 'many'; give a whole number."
    assert "no file" in refusal(data={"kind": "file", "file": "/nowhere.json", "pictures": ""})
    assert refusal(data={"kind": "set", "name": "set:gone"}).startswith("There is no data set")
    for share in ("-1", "0"):
        assert "share" in refusal(mixed={"kind": "set", "name": "x", "share": share})
    told = do(events, "forecast", **order())["forecast"]
    assert told["data"]["failed"] and "widen" in told["data"]["words"]


@pytest.mark.parametrize(
    "forged",
    [
        {"recipe": "magic"},
        {"data": {"kind": "library", "filters": {"owner": ANN}}},
        {"data": {"kind": "shell"}},
        {"data": []},
        {"mixed": LIBRARY},
        {"fields": {"data": "x"}},
        {"fields": {f"f{number}": "" for number in range(101)}},
        {"model": 7},
    ],
)
def test_what_the_page_would_never_send_starts_nothing(
    events: TrainingEvents, jobs: Jobs, store: ConversationStore, forged: dict[str, Any]
) -> None:
    corrected(store, 2)
    assert do(events, "start", **order(**forged))["said"]["failed"]
    assert jobs.list() == []


def test_a_job_is_ordered_with_its_data_written_and_told_once_whole_and_then_what_is_new(
    events: TrainingEvents, jobs: Jobs, store: ConversationStore
) -> None:
    corrected(store, 3)
    started = do(events, "start", **order(frees_worker=True))["started"]["job"]
    job = jobs.get(started)
    assert (job.name, job.actor, job.frees_worker, job.config.max_steps) == ("colours", ROOT_USER, True, 3)
    jobs.close()  # its data has been written then
    assert Path(jobs.get(started).config.data[0].file) == job.folder.path / "data" / "train.json"

    job.folder.write_status(RunStatus("training", "Training", 1, 4, memory_bytes=2_500_000_000, device="cpu"))
    job.folder.add_metrics({"step": 1, "loss": 2.0})
    job.folder.log_file.write_text("begun\n")
    look = do(events, "look", **known(started))["look"]
    assert [each["id"] for each in look["jobs"]] == [started]
    told = look["open"]
    assert told["fresh"] and "<dt>Max steps</dt>" in told["settings"] and "--run" in told["command"]
    assert (told["facts"]["step"], told["facts"]["memory"]) == ("1 of 4", "2.5 GB")
    assert told["can"] == {"stop": True, "resume": False, "delete": True}
    assert told["curves"]["points"] == [{"step": 1, "loss": 2.0}] and told["log"]["text"] == "begun\n"
    job.folder.add_metrics({"step": 2, "loss": 1.0})
    after = known(started, fresh=False, lines=told["curves"]["lines"], log=told["log"]["bytes"])
    news = do(events, "look", **after)["look"]["open"]
    assert "settings" not in news and news["log"]["text"] == ""
    assert news["curves"]["points"] == [{"step": 2, "loss": 1.0}] and not news["curves"]["whole"]


def test_a_job_is_stopped_renamed_copied_and_deleted(
    events: TrainingEvents, jobs: Jobs, store: ConversationStore, tmp_path: Path
) -> None:
    file = data_set(tmp_path / "datasets" / "old")
    data = {"kind": "file", "file": str(file), "pictures": ""}
    mixed = {"kind": "set", "name": "set:old", "share": "12.5"}
    started = do(events, "start", **order(data, mixed=mixed))["started"]["job"]
    assert do(events, "stop", **known(started))["look"]["open"]["badge"] == "Stopped"
    assert do(events, "rename", **known(started), name=" shades ")["look"]["open"]["name"] == "shades"
    filled = do(events, "clone", job=started)["filled"]
    assert (filled["name"], filled["recipe"], filled["model"]) == ("shades again", "lora", DEMO)
    assert filled["fields"]["max_steps"] == "3"
    assert filled["data"] == {"kind": "file", "file": str(file), "pictures": str(file.parent), "share": "100"}
    assert filled["mixed"]["share"] == "12.5"
    again = order(filled["data"], mixed=filled["mixed"], fields=filled["fields"])
    copy = do(events, "start", **again)["started"]["job"]
    assert jobs.get(copy).config == jobs.get(started).config
    more = jobs.get(copy).config
    jobs.get(copy).folder.write_config(more.changed(data=(*more.data, *more.data)))
    assert "room for 2: " in do(events, "clone", job=copy)["said"]["words"]
    done = do(events, "delete", job=started)
    assert done["said"]["words"] == "shades was deleted, with its folder."
    assert not (tmp_path / "runs" / started).exists()
    with pytest.raises(NotFound):
        jobs.get(started)
    assert do(events, "look", **known(started))["look"]["open"] == {"id": started, "gone": True}


def test_a_run_that_the_worker_does_not_let_go_of_is_not_deleted(
    parts: TrainingParts, jobs: Jobs, tmp_path: Path
) -> None:
    def let_go(job_id: str) -> None:
        asked.append(job_id)
        if len(asked) == 1:
            raise ResultRefused("It is the running model.")

    asked: list[str] = []
    events = parts.events(lambda owner: True, let_go)
    data = {"kind": "file", "file": str(data_set(tmp_path / "set")), "pictures": ""}
    job = do(events, "start", **order(data))["started"]["job"]
    assert "running model" in str(do(events, "delete", job=job)) and len(jobs.list()) == 1
    do(events, "delete", job=job)
    assert asked == [job, job] and jobs.list() == []


def test_what_cannot_be_done_with_a_job_is_a_sentence(
    events: TrainingEvents, jobs: Jobs, tmp_path: Path
) -> None:
    data = {"kind": "file", "file": str(data_set(tmp_path / "set")), "pictures": ""}
    started = do(events, "start", **order(data))["started"]["job"]
    do(events, "stop", job=started)
    for event in ("stop", "clone", "delete", "resume", "rename"):
        assert do(events, event, job="../../etc")["said"]["failed"], event
    assert "nothing to stop" in do(events, "stop", job=started)["said"]["words"]
    assert do(events, "rename", job=started, name="  ")["said"]["failed"]
    assert do(events, "values", recipe="lora", model=DEMO, key="k")["values"]["key"] == "k"
