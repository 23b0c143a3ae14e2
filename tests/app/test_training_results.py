"""What a run brought out, in the real worker: loaded beside its base, compared, taken away, merged and switched to."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.both_answers import Asking, BothAnswers
from app.held_out import find, picture_file
from app.library_zip import zip_pieces
from app.result_copies import ResultCopies
from app.result_work import WorkState
from app.training_results import ResultRefused, TrainingResults
from app.worker_client import ChatRequest, Piece, WorkerClient
from app.worker_process import RestartPace, WorkerOptions, WorkerProcess
from app.worker_status import StatusWatch
from conversations.errors import NotFound
from conversations.messages import Message
from tests.app.finished_run import (
    JOB,
    OTHER,
    WHOLE,
    FinishedJob,
    FinishedJobs,
    finish,
    write_base_and_adapters,
)
from tests.app.test_worker_process import wait_for
from tests.browser.running_page import environment
from tests.held_process import HeldProcess
from tests.scripts.local_hub import TOKEN, LocalHub, local_hub


@dataclass
class House:
    """A worker on the tiny base with finished runs: two adapters of it, and one of another base."""

    runs: Path
    base: Path
    jobs: FinishedJobs
    worker: WorkerProcess
    client: WorkerClient
    watch: StatusWatch
    results: TrainingResults
    copies: ResultCopies

    def is_running(self, name: str) -> bool:
        health = self.watch.now.health
        return self.watch.now.ready and health is not None and health.model == name

    def answer(self, model: str) -> str:
        request = ChatRequest(
            (Message("user", ("What is it?",)),), model=model, temperature=0.0, max_new_tokens=12
        )
        return "".join(each.text for each in self.client.stream(request) if isinstance(each, Piece))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    root = tmp_path_factory.mktemp("house")
    runs, base = root / "runs", root / "tiny"
    write_base_and_adapters(base, runs / JOB / "result", runs / OTHER / "result")
    jobs = FinishedJobs(
        finish(runs, JOB, "Corrected colours", base),
        finish(runs, OTHER, "Corrected colours", base),
        finish(runs, WHOLE, "All anew", base, "finetune"),
    )
    options = WorkerOptions(str(base), device="cpu", adapter_root=str(runs))
    worker = WorkerProcess(
        options, root / "worker.log", pace=RestartPace(first_seconds=0.1), environment=environment()
    )
    worker.start()
    assert worker.wait_until_ready(300).phase == "ready", (root / "worker.log").read_text()
    client = WorkerClient(worker.base_url, worker.token)
    watch = StatusWatch(client, worker)
    watch.start()
    wait_for(lambda: watch.now.ready)
    results = TrainingResults(jobs, runs, client, lambda: watch.now, worker)
    copies = ResultCopies(results, environment())
    yield House(runs, base, jobs, worker, client, watch, results, copies)
    copies.work.stop(180)
    watch.stop()
    worker.stop()


def asked(both: BothAnswers, job_id: str) -> Asking:
    deadline = time.monotonic() + 300
    while (asking := both.asked(job_id)) is None or not asking.ended:
        assert time.monotonic() < deadline, asking
        time.sleep(0.05)
    return asking


def test_an_adapter_is_loaded_without_a_restart_by_a_name_of_its_own_and_taken_away(house: House) -> None:
    process = house.worker.process_id
    before = house.answer("tiny")
    first, second = house.results.load(JOB), house.results.load(OTHER)
    assert (first, second) == ("Corrected-colours", "Corrected-colours-bbbbbb")
    assert house.client.models() == ("tiny", first, second) and house.worker.process_id == process
    assert house.results.load(JOB) == first, "it is loaded already"
    answers = {house.answer(model) for model in ("tiny", first, second)}
    assert len(answers) == 3 and before in answers
    wait_for(lambda: first in house.watch.now.models)
    assert house.results.standing(house.jobs.get(JOB)).loaded == first
    assert house.results.unload(OTHER) == second and house.client.models() == ("tiny", first)
    with pytest.raises(ResultRefused, match="not loaded"):
        house.results.unload(OTHER)
    assert house.results.unload(JOB) == first


def test_before_a_run_is_deleted_the_worker_lets_go_of_its_adapter(house: House) -> None:
    house.results.let_go(JOB)  # nothing is loaded
    house.results.load(JOB)
    other = house.results.load(OTHER)
    wait_for(lambda: len(house.watch.now.models) == 3)
    house.results.let_go(JOB)
    assert house.client.models() == ("tiny", other)
    house.results.let_go(OTHER)


def test_both_are_asked_the_same_held_out_question_with_its_picture(house: House) -> None:
    both = BothAnswers(lambda urls: WorkerClient(house.worker.base_url, house.worker.token, data_url=urls))
    job = house.jobs.get(JOB)
    row = find(job.folder, 2)
    picture = picture_file(row, 0, job.config, job.folder.path)  # type: ignore[arg-type]
    models = house.results.to_compare(JOB)
    assert models == ("tiny", "Corrected-colours")
    both.ask(JOB, row, [picture], models)
    said = asked(both, JOB).said
    assert [each.failed for each in said.values()] == [False, False], said
    assert said["tiny"].text != said["Corrected-colours"].text and said["tiny"].text
    house.results.unload(JOB)


def test_an_adapter_of_another_base_is_not_loaded_and_its_base_is_offered(house: House) -> None:
    job = house.jobs.get(JOB)
    other = replace(job, id="d" * 32, config=replace(job.config, model="model/demo"))  # type: ignore[type-var]
    results = TrainingResults(
        FinishedJobs(other), house.runs, house.client, lambda: house.watch.now, house.worker
    )
    assert results.standing(other).runs_base is False
    with pytest.raises(ResultRefused, match="trained on model/demo, but tiny is running; switch to its base"):
        results.load(other.id)
    gone = replace(other, config=replace(job.config, model="/no/such/base"))  # type: ignore[type-var]
    results = TrainingResults(
        FinishedJobs(gone), house.runs, house.client, lambda: house.watch.now, house.worker
    )
    with pytest.raises(ResultRefused, match="/no/such/base is no longer there"):
        results.switch(gone.id, "base")


def test_a_run_without_a_result_and_one_that_is_not_there_are_refused_in_words(house: House) -> None:
    for what in (house.results.load, house.copies.merge):
        with pytest.raises(ResultRefused):
            what(WHOLE)
    with pytest.raises(ResultRefused, match="no whole model"):
        house.results.switch(JOB, "merged")
    for what in (house.results.load, house.results.unload, house.copies.merge):
        with pytest.raises(NotFound):
            what("../../etc")
    with pytest.raises(NotFound):
        house.copies.folder(JOB, "..")


def test_an_adapter_is_merged_into_a_whole_checkpoint_once(house: House) -> None:
    folder = merged(house, house.jobs.get(JOB))
    assert house.copies.work.state.words == "Merged into one whole checkpoint."
    assert (folder / "model.safetensors").is_file() and not list(folder.parent.glob(".merged-*"))
    with pytest.raises(ResultRefused, match="merged already"):
        house.copies.merge(JOB)
    assert house.copies.folder(JOB, "merged") == folder


def merged(house: House, job: FinishedJob) -> Path:
    folder = job.folder.path / "merged"
    if not folder.exists():
        house.copies.merge(job.id)
        wait_for(lambda: house.copies.work.state.phase != "running")
        assert house.copies.work.state.phase == "done", house.copies.work.state
    return folder


@pytest.mark.nightly
def test_what_was_merged_becomes_the_model_and_answers_as_the_adapter_did(house: House) -> None:
    name = house.results.load(JOB)
    as_adapter = house.answer(name)
    house.results.unload(JOB)
    merged(house, house.jobs.get(JOB))
    house.results.switch(JOB, "merged")
    wait_for(lambda: house.is_running("Corrected-colours"))
    assert house.results.standing(house.jobs.get(JOB)).runs == "merged"
    assert house.answer("") == as_adapter
    house.results.switch(JOB, "base")
    wait_for(lambda: house.is_running("tiny"))
    assert house.results.standing(house.jobs.get(JOB)).runs_base is True


class NotedWorker:
    """Takes down what it is told to switch to."""

    options = WorkerOptions()

    def __init__(self) -> None:
        self.names: list[str | None] = []

    def switch(self, options: WorkerOptions) -> None:
        self.names.append(options.served_name)


def test_whole_results_of_one_name_are_different_models_and_none_has_its_base_s_name(tmp_path: Path) -> None:
    jobs = []
    for job_id, name in (("run-000001", "Colours"), ("run-000002", "Colours"), ("run-000003", "base")):
        jobs.append(finish(tmp_path, job_id, name, tmp_path / "base", "finetune"))
        result = jobs[-1].folder.result
        result.mkdir(parents=True)
        (result / "config.json").write_text("{}")
    worker = NotedWorker()
    results = TrainingResults(FinishedJobs(*jobs), tmp_path, None, None, worker)  # type: ignore[arg-type]
    for job in jobs:
        results.switch(job.id, "result")
    assert worker.names[0] == "Colours" and "base" not in worker.names
    assert len(set(worker.names)) == 3


def test_a_merge_that_is_stopped_leaves_nothing(house: House, tmp_path: Path) -> None:
    process = HeldProcess(tmp_path / "held", "scripts.convert_checkpoint")
    copies = ResultCopies(house.results, environment() | process.environment)
    with process.held():  # or it might be done before it is stopped
        copies.merge(OTHER)
        copies.work.stop(180)
    assert copies.work.state.phase == "stopped"
    assert not (house.runs / OTHER / "merged").exists() and not list((house.runs / OTHER).glob(".merged-*"))


class NoHub:
    """Nobody listens at the discard port."""

    url = "http://127.0.0.1:9"


def pushed(house: House, hub: LocalHub | NoHub, repo: str, token: str) -> WorkState:
    given = {
        **environment(),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(house.runs / "hf"),
    }
    copies = ResultCopies(house.results, given)
    copies.push(JOB, repo, token, private=True)
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            assert token.encode() not in process.read_bytes(), "everybody can read it there"
    wait_for(lambda: copies.work.state.phase != "running")
    return copies.work.state


@pytest.mark.nightly
def test_a_result_is_put_on_the_hub_with_its_card_and_a_wrong_token_is_told(house: House) -> None:
    folder = house.runs / JOB
    with local_hub() as hub:
        refused = pushed(house, hub, "me/colours", "hf_wrong_token")
        assert refused.phase == "failed" and "does not let you write to me/colours" in refused.words
        assert "hf_wrong_token" not in refused.words and hub.repos == {}
        gone = pushed(house, NoHub(), "me/colours", TOKEN)
        assert "cannot be reached" in gone.words and gone.words.endswith("; try again.")
        done = pushed(house, hub, "me/colours", TOKEN)
        assert done.phase == "done" and done.words.startswith(f"Uploaded: {hub.url}/me/colours/commit/"), done
        assert hub.repos["me/colours"]["visibility"] == "private"
        files = hub.files("me/colours")
        assert {"model.safetensors", "config.json", "chat_template.jinja"} <= files.keys()
        card = files["README.md"].decode()
        assert "learning_rate" in card and "0.75" in card and str(house.runs) not in card
    assert (
        not (folder / "hub").exists() and not list(folder.glob(".hub-*")) and not (folder / ".card").exists()
    )
    for kept in folder.rglob("*"):
        assert not kept.is_file() or TOKEN.encode() not in kept.read_bytes(), kept


def test_a_result_is_fetched_as_a_zip_under_its_own_name(house: House) -> None:
    data = b"".join(zip_pieces(house.copies.folder(JOB, "result"), "Corrected-colours"))
    names = set(zipfile.ZipFile(io.BytesIO(data)).namelist())
    assert {
        f"Corrected-colours/{each}"
        for each in ("adapter_config.json", "adapter_model.safetensors", "projector.safetensors")
    } <= names


def test_while_a_run_has_the_place_of_the_worker_nothing_is_loaded_and_that_is_said(house: House) -> None:
    house.worker.pause("run", lambda: "The model rests")
    try:
        wait_for(lambda: house.watch.now.paused)
        with pytest.raises(ResultRefused, match=r"not ready \(The model rests\)"):
            house.results.load(JOB)
    finally:
        house.worker.go_on("run")
    wait_for(lambda: not house.watch.now.paused)
