"""The results' answers to events: who gets them, what is shown of a run, and that what fails is a sentence."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from app.model_trial import ModelSwitch
from app.result_events import ResultEvents
from app.result_parts import ResultParts
from app.result_tab import EVENTS, FEEDS
from app.result_work import Order
from app.training_results import ResultRefused
from app.worker_client import ChatRequest, Finished, Piece, WorkerEvent, WorkerHealth
from app.worker_errors import WorkerUnreachable, refusal
from app.worker_process import WorkerOptions, WorkerState
from app.worker_status import WorkerStatus
from tests.app.finished_run import JOB, OTHER, WHOLE, FinishedJobs, finish
from tests.app.test_worker_process import wait_for

ROOT_USER, ANN = "user:root", "user:ann"
BASE = Path("model/demo")


@dataclass
class Worker:
    """Says what it is told to; keeps its list of adapters as the real one does."""

    runs: Path
    served: list[str] = field(default_factory=lambda: ["demo"])
    options: WorkerOptions = field(
        default_factory=lambda: WorkerOptions("model/demo", device="cpu", cache_gb=0.5)
    )
    state: WorkerState = field(default_factory=lambda: WorkerState("ready", 1.0))
    last_switch: ModelSwitch = field(default_factory=ModelSwitch)
    ready: bool = True
    error: Exception | None = None
    asked: list[ChatRequest] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def status(self) -> WorkerStatus:
        words = "Ready" if self.ready else "The model is loading, 40%"
        health = WorkerHealth("ready", model=self.served[0])
        return WorkerStatus(words, self.ready, False, 1.0, health, tuple(self.served))

    def models(self) -> tuple[str, ...]:
        return tuple(self.served)

    def load_adapter(self, name: str, path: str) -> None:
        if self.error is not None:
            raise self.error
        self.served.append(name)
        (self.runs / "loaded_adapters.json").write_text(json.dumps({self.served[0]: {name: path}}))

    def unload_adapter(self, name: str) -> None:
        self.served.remove(name)

    def switch(self, options: WorkerOptions) -> None:
        self.options = options

    def stream(self, request: ChatRequest) -> Iterator[WorkerEvent]:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        yield Piece(f"{request.model} says ")
        yield Piece("Colour 1.")
        yield Finished("stop", 3, 2)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def worker(runs: Path) -> Worker:
    return Worker(runs)


@pytest.fixture
def parts(runs: Path, worker: Worker) -> ResultParts:
    def client_with(data_url: Any) -> Worker:
        worker.urls.append(data_url)
        return worker

    jobs = FinishedJobs(
        finish(runs, JOB, "Corrected <colours>", BASE),
        finish(runs, OTHER, "Elsewhere", Path("/no/such/base")),
        finish(runs, WHOLE, "All anew", BASE, "finetune"),
    )
    for job_id, name in (
        (JOB, "adapter_config.json"),
        (OTHER, "adapter_config.json"),
        (WHOLE, "config.json"),
    ):
        (runs / job_id / "result").mkdir()
        (runs / job_id / "result" / name).write_text("{}")
    return ResultParts.of(jobs, runs, worker, client_with, worker.status, worker, {})


@pytest.fixture
def events(parts: ResultParts) -> ResultEvents:
    return parts.events(lambda owner: owner == ROOT_USER)


def do(events: ResultEvents, what: str, owner: str | None = ROOT_USER, /, **data: Any) -> dict[str, Any]:
    return events.answered(getattr(events, what), owner, {"job": JOB, **data})


def test_who_is_no_admin_gets_nothing_from_any_event(events: ResultEvents, worker: Worker) -> None:
    for name in EVENTS:
        for owner in (ANN, "visitor:x", None):
            given = {"number": 1, "name": "demo", "to": "base", "repo": "a/b", "token": "t", "only": "all"}
            assert do(events, name, owner, **given) == {}, name
    assert worker.served == ["demo"] and worker.options.model == "model/demo"


def test_a_run_is_let_go_of_when_nobody_works_on_it_or_talks_to_it(
    parts: ResultParts, worker: Worker, runs: Path
) -> None:
    sleep = (sys.executable, "-c", "import time; time.sleep(600)")
    parts.copies.work.start(Order(JOB, "merge", "Merging it", sleep, {}))
    with pytest.raises(ResultRefused, match="“Merging it” is not finished"):
        parts.let_go(JOB)
    parts.let_go(OTHER)
    parts.stop()
    parts.results.load(JOB)
    assert len(worker.served) == 2
    parts.let_go(JOB)
    assert worker.served == ["demo"]
    worker.options = replace(worker.options, model=str(runs / WHOLE / "result"))
    with pytest.raises(ResultRefused, match="running model"):
        parts.let_go(WHOLE)


def test_every_feed_is_one_that_the_page_has(events: ResultEvents) -> None:
    for name in EVENTS:
        told = do(events, name, number=1, to="base", repo="nonsense", only="all")
        assert set(told) <= set(FEEDS), name


def test_a_run_is_shown_with_its_shares_and_both_answers_side_by_side(
    events: ResultEvents, runs: Path
) -> None:
    shown = do(events, "show")["shown"]
    assert re.findall(r"<b>(\d+)<i>%", shown["scores"]) == ["25", "75"]
    assert "of 4 held-out answers exactly right" in shown["scores"]
    rows = shown["rows"]
    assert rows.count("<li ") == 4 and "What &lt;b&gt;colour&lt;/b&gt; is picture 2?" in rows
    first = rows[rows.index('data-number="0"') : rows.index('data-number="1"')]
    assert re.findall('data-mark="(yes|no)"', first) == ["yes", "no"]
    assert f"training/results/{JOB}/pictures/0/0/thumb" in first
    counted = re.findall(r"(All|Learned|Lost|Still wrong) <span>(\d+)", rows)
    assert counted == [("All", "4"), ("Learned", "3"), ("Lost", "1"), ("Still wrong", "0")]
    with (runs / JOB / "answers.jsonl").open("a") as file:
        file.write('{"question": "q", "right": "r", "before": "r", "after": "r"}\n')
    again = do(events, "rows", only="all")["rows"]["html"]
    assert "Learned <span>3</span>" in again and "All <span>5</span>" in again, (
        "what was known is not learned"
    )
    lost = do(events, "rows", only="lost")["rows"]["html"]
    assert lost.count("<li ") == 1 and 'data-number="0"' in lost


def test_chat_with_it_loads_the_adapter_and_names_it(events: ResultEvents, worker: Worker) -> None:
    assert 'data-do="result-chat" disabled' not in do(events, "state")["state"]["html"]
    told = do(events, "load")
    assert told["chat"]["model"] == "Corrected-colours" and worker.served == ["demo", "Corrected-colours"]
    assert 'data-do="result-chat" data-value="Corrected-colours"' in told["state"]["html"]
    assert "It is loaded as Corrected-colours" in told["state"]["html"]
    told = do(events, "unload")
    assert told["said"]["words"] == "Corrected-colours is unloaded." and worker.served == ["demo"]
    assert do(events, "unload")["said"]["failed"]


def test_an_adapter_is_unloaded_by_its_name_too_but_never_the_base(
    events: ResultEvents, worker: Worker
) -> None:
    do(events, "load")
    for name in ("demo", "", "no such name"):
        assert do(events, "drop", name=name)["said"]["failed"]
    assert do(events, "drop", name="Corrected-colours")["said"]["words"] == "Corrected-colours is unloaded."
    assert worker.served == ["demo"]


def test_why_a_switch_to_it_failed_is_told_beside_it_and_not_beside_others(
    events: ResultEvents, worker: Worker, runs: Path
) -> None:
    worker.last_switch = ModelSwitch(
        1, WorkerOptions(str(runs / WHOLE / "result")), "failed", "no weights", worker.options
    )
    html = do(events, "state", job=WHOLE)["state"]["html"]
    assert "could not be loaded: no weights. model/demo is kept." in html
    assert "could not be loaded" not in do(events, "state")["state"]["html"]


def test_a_run_of_another_base_says_so_and_its_base_can_be_switched_to(
    events: ResultEvents, worker: Worker
) -> None:
    html = do(events, "state", job=OTHER)["state"]["html"]
    assert "trained on /no/such/base, but demo is running" in html
    assert (
        'data-do="result-switch" data-value="base">Switch to its base' in html and "Chat with it" not in html
    )
    refused = do(events, "load", job=OTHER)["said"]
    assert refused["failed"] and "switch to its base first" in refused["words"]
    refused = do(events, "switch", job=OTHER, to="base")["said"]
    assert refused["failed"] and "/no/such/base is no longer there" in refused["words"]
    assert worker.options.model == "model/demo"


def test_a_whole_model_becomes_the_workers_on_the_same_machine_by_the_runs_name(
    events: ResultEvents, worker: Worker, runs: Path
) -> None:
    html = do(events, "state", job=WHOLE)["state"]["html"]
    assert "Switch to it" in html and "Download the model" in html and "Merge" not in html
    do(events, "switch", job=WHOLE, to="result")
    assert worker.options == WorkerOptions(
        str(runs / WHOLE / "result"), device="cpu", cache_gb=0.5, served_name="All-anew"
    )
    html = do(events, "state", job=WHOLE)["state"]["html"]
    assert 'data-do="result-chat" data-value=""' in html and "Back to its base" in html
    do(events, "switch", job=WHOLE, to="base")
    assert worker.options.model.endswith("model/demo") and worker.options.served_name is None


def test_while_the_worker_is_not_ready_that_is_what_stands_there(
    events: ResultEvents, worker: Worker
) -> None:
    worker.ready = False
    state = do(events, "state")["state"]
    assert state["busy"] and "The model is loading, 40%." in state["html"]
    refused = do(events, "load")["said"]
    assert refused["failed"] and "not ready (The model is loading, 40%)" in refused["words"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            refusal(
                400, {"code": "invalid_adapter", "message": "The adapter x cannot be loaded: it is broken"}
            ),
            "it is broken.",
        ),
        (WorkerUnreachable("http://w", "refused"), "cannot be reached"),
        (ZeroDivisionError("oops"), "does not know (ZeroDivisionError)"),
    ],
)
def test_what_the_worker_refuses_is_told_in_a_sentence(
    events: ResultEvents, worker: Worker, error: Exception, words: str
) -> None:
    worker.error = error
    said = do(events, "load")["said"]
    assert said["failed"] and words in said["words"]


def test_both_are_asked_with_the_picture_and_what_was_said_before(
    events: ResultEvents, worker: Worker, runs: Path
) -> None:
    file = runs / JOB / "answers.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[1]["earlier"] = ["What is it?", "A picture."]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = do(events, "ask", number=1)["now"]
    assert (told["job"], told["number"]) == (JOB, 1)
    wait_for(lambda: do(events, "asked")["now"]["ended"])
    html = do(events, "asked")["now"]["html"]
    assert "Base now, demo" in html and "Tuned now, Corrected-colours" in html
    assert "demo says Colour 1." in html and html.count('data-mark="no"') == 2
    assert {request.model for request in worker.asked} == {"demo", "Corrected-colours"}
    for request in worker.asked:
        assert [message.role for message in request.messages] == ["user", "assistant", "user"]
        assert request.temperature == 0.0 and [len(message.images) for message in request.messages] == [
            1,
            0,
            0,
        ]
    (key,) = {request.messages[0].images[0].sha256 for request in worker.asked}
    assert worker.urls[0](key).startswith("data:image/png;base64,")  # type: ignore[operator]


def test_a_question_whose_picture_is_gone_and_one_that_is_not_there_are_told(
    events: ResultEvents, runs: Path
) -> None:
    assert "no held-out question 1000" in do(events, "ask", number=999)["said"]["words"]
    shutil.rmtree(runs / JOB / "data" / "images")
    assert "no longer where the run found it" in do(events, "ask", number=1)["said"]["words"]


def test_an_answer_that_fails_is_told_in_its_place(events: ResultEvents, worker: Worker) -> None:
    do(events, "load")
    worker.error = WorkerUnreachable("http://w", "refused")
    do(events, "ask", number=1)
    wait_for(lambda: do(events, "asked")["now"]["ended"])
    html = do(events, "asked")["now"]["html"]
    assert html.count("cannot be reached") == 2 and html.count("failed") == 2


def test_a_name_that_is_none_on_the_hub_is_refused_before_anything_is_written(
    events: ResultEvents, runs: Path
) -> None:
    for repo in ("", "name", "a/b/c", "--help/x", "a b/c", "../x"):
        said = do(events, "push", repo=repo, token="hf_secret")["said"]
        assert said["failed"] and "NAME/MODEL" in said["words"] and "hf_secret" not in said["words"]
    assert not (runs / JOB / ".card").exists()


def test_forged_jobs_get_a_sentence(events: ResultEvents) -> None:
    for job in ("../../etc", "x" * 99, "", "e" * 32):
        said = do(events, "show", job=job)["said"]
        assert said["failed"] and "There is no job" in said["words"]
    assert "would" in do(events, "show", job=7)["said"]["words"]


def test_a_run_without_held_out_answers_says_so(parts: ResultParts, events: ResultEvents, runs: Path) -> None:
    (runs / JOB / "answers.jsonl").unlink()
    shown = do(events, "show")["shown"]
    assert "nothing to compare" in shown["scores"] and shown["rows"] == ""


def test_where_the_worker_runs_elsewhere_the_remedy_is_told(
    parts: ResultParts, worker: Worker, runs: Path
) -> None:
    jobs = parts.results._jobs
    remote = ResultParts.of(jobs, runs, worker, lambda urls: worker, worker.status, None, {})
    events = remote.events(lambda owner: True)
    worker.error = refusal(404, {"code": "adapter_not_found", "message": "There is no folder."})
    said = do(events, "load")["said"]["words"]
    assert "has no folder" in said and f"copy {runs / JOB / 'result'} there" in said
    assert "start it there" in do(events, "switch", to="base")["said"]["words"]
    assert "download this model" in do(events, "state", job=WHOLE)["state"]["html"]


def test_a_status_that_is_late_does_not_load_twice(events: ResultEvents, worker: Worker) -> None:
    late = worker.status()
    events._results._status = lambda: replace(late, models=("demo",))
    assert do(events, "load")["chat"]["model"] == do(events, "load")["chat"]["model"] == "Corrected-colours"
    assert worker.served == ["demo", "Corrected-colours"]
