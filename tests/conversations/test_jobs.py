"""The table of jobs: one page starts a job, one job has a device, and what is not there is told."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from conversations.errors import InvalidText, NotFound
from conversations.jobs import JobRecord, JobRecords
from conversations.store import ConversationStore
from tests.conversations.small_log import open_store

HOST = "here"


def ordered(records: JobRecords, name: str = "colours", host: str = HOST, **more: bool) -> JobRecord:
    return records.create(uuid.uuid4().hex, actor="ann", name=name, config="{}", host=host, **more)


def test_a_job_is_kept_as_it_was_ordered(store: ConversationStore) -> None:
    before = datetime.now(UTC)
    made = ordered(store.jobs, "  new\ncolours ", frees_worker=True)
    assert made.name == "new colours" and made.actor == "ann" and made.phase == "queued" and made.frees_worker
    assert before <= made.created_at == made.queued_at <= datetime.now(UTC)
    assert store.jobs.get(made.id) == made
    later = ordered(store.jobs)
    assert store.jobs.all() == [later, made]
    assert store.jobs.queued() == [made, later]


@pytest.mark.parametrize("job_id", ["", "x", "0" * 32, "\0", "\ud800", "'; DROP TABLE jobs; --"])
def test_an_id_that_names_nothing_is_told(store: ConversationStore, job_id: str) -> None:
    with pytest.raises(NotFound):
        store.jobs.get(job_id)
    with pytest.raises(NotFound):
        store.jobs.rename(job_id, "else")
    assert not store.jobs.ask_stop(job_id, "")


def test_a_name_that_cannot_be_kept_is_refused(store: ConversationStore) -> None:
    made = ordered(store.jobs)
    for name in ("", " ", "a\0b", "x" * 201):
        with pytest.raises(InvalidText):
            store.jobs.rename(made.id, name)
        with pytest.raises(InvalidText):
            ordered(store.jobs, name)
    store.jobs.rename(made.id, "better")
    assert [each.name for each in store.jobs.all()] == ["better"]


def test_a_device_has_one_job_at_a_time(store: ConversationStore) -> None:
    first, second, third, far = (ordered(store.jobs, host=host) for host in (HOST, HOST, HOST, "far"))
    assert store.jobs.claim(first.id, HOST, "cuda:0", "{1}")
    assert not store.jobs.claim(first.id, HOST, "cuda:1", "{}")
    assert not store.jobs.claim(second.id, HOST, "cuda:0", "{}")
    assert store.jobs.claim(third.id, HOST, "cuda:1", "{}") and store.jobs.claim(
        far.id, "far", "cuda:0", "{}"
    )
    claimed = store.jobs.get(first.id)
    assert (claimed.phase, claimed.device, claimed.config) == ("running", "cuda:0", "{1}")
    assert claimed.page == store.jobs.page and claimed.started_at is not None
    assert store.jobs.ask_stop(first.id, "Saving.") and not store.jobs.ask_stop(first.id, "Saving.")
    assert not store.jobs.claim(second.id, HOST, "cuda:0", "{}")
    assert store.jobs.end(first.id, "stopped", "Stopped.\0") and not store.jobs.end(
        first.id, "failed", "Again."
    )
    ended = store.jobs.get(first.id)
    assert ended.phase == "stopped" and ended.words == "Stopped.\ufffd" and ended.ended_at is not None
    assert store.jobs.claim(second.id, HOST, "cuda:0", "{}")


def test_of_many_pages_one_starts_a_job_and_one_job_gets_the_device(backend: str, tmp_path: Path) -> None:
    stores = [open_store(tmp_path) for _ in range(4)]
    made = [ordered(stores[0].jobs) for _ in range(6)]
    tries = [(store.jobs, job.id) for job in made for store in stores]
    with ThreadPoolExecutor(len(tries)) as threads:
        won = list(threads.map(lambda each: each[0].claim(each[1], HOST, "cpu", "{}"), tries))
    assert sum(won) == 1
    (running,) = stores[1].jobs.running()
    assert won[tries.index((next(s.jobs for s in stores if s.jobs.page == running.page), running.id))]
    for store in stores:
        store.close()


def test_the_database_itself_allows_a_device_one_job(store: ConversationStore) -> None:
    first, second, third = (ordered(store.jobs) for _ in range(3))
    assert store.jobs.claim(first.id, HOST, "cpu", "{}") and store.jobs.claim(second.id, HOST, "cuda:0", "{}")
    with pytest.raises(IntegrityError):
        store.jobs._change(second.id, device="cpu")
    store.jobs._change(third.id, phase="done", host=HOST, device="cpu")
    with pytest.raises(IntegrityError):
        store.jobs._change(third.id, phase="stopping")


def test_a_job_whose_data_is_not_written_is_not_started(store: ConversationStore) -> None:
    made = ordered(store.jobs, data_wanted=True)
    assert made.page == store.jobs.page and not store.jobs.claim(made.id, HOST, "cpu", "{}")
    assert store.jobs.data_written(made.id, '{"data": 1}')
    written = store.jobs.get(made.id)
    assert written.config == '{"data": 1}' and written.page == ""
    assert store.jobs.claim(made.id, HOST, "cpu", written.config)


def test_a_job_that_was_never_started_keeps_its_place(store: ConversationStore) -> None:
    first, second = ordered(store.jobs), ordered(store.jobs)
    assert store.jobs.claim(first.id, HOST, "cpu", "{}") and store.jobs.unclaim(first.id)
    assert store.jobs.queued() == [first, second]


def test_only_the_page_that_looks_after_a_job_ends_it(backend: str, tmp_path: Path) -> None:
    mine, other = open_store(tmp_path), open_store(tmp_path)
    made = ordered(mine.jobs)
    mine.jobs.claim(made.id, HOST, "cpu", "{}")
    mine.jobs.set_process(made.id, 4321, "boot:99")
    assert not other.jobs.end(made.id, "failed", "Gone.") and not other.jobs.signalled(made.id)
    page = mine.jobs.page
    assert other.jobs.page_lives(page)
    mine.close()
    assert not other.jobs.page_lives(page)
    third = open_store(tmp_path)
    assert [third.jobs.adopt(made.id, page, HOST), other.jobs.adopt(made.id, page, HOST)] == [True, False]
    record = other.jobs.get(made.id)
    assert (record.page, record.pid, record.process_start) == (third.jobs.page, 4321, "boot:99")
    assert third.jobs.end(made.id, "failed", "Gone.")
    other.close()
    third.close()


def test_a_host_that_was_renamed_keeps_one_job_a_device(backend: str, tmp_path: Path) -> None:
    before, after = open_store(tmp_path), open_store(tmp_path)
    first, second, third = (ordered(before.jobs, host="before") for _ in range(3))
    assert before.jobs.claim(first.id, "before", "cpu", "{}")
    assert not after.jobs.claim(second.id, HOST, "cpu", "{}", [first.id])
    assert after.jobs.claim(second.id, HOST, "cuda:0", "{}", [first.id])
    assert before.jobs.claim(third.id, "before", "cuda:0", "{}")
    page = before.jobs.page
    before.close()
    assert after.jobs.adopt(first.id, page, HOST) and after.jobs.adopt(third.id, page, HOST)
    assert {each.id: each.host for each in after.jobs.running()} == {
        first.id: HOST, second.id: HOST, third.id: "before"
    }  # fmt: skip
    assert {each.page for each in after.jobs.running()} == {after.jobs.page}
    after.close()


def test_a_job_that_ended_can_wait_again(store: ConversationStore) -> None:
    first = ordered(store.jobs)
    store.jobs.claim(first.id, HOST, "cpu", "{}")
    store.jobs.set_process(first.id, 1, "x")
    assert not store.jobs.queue_again(first.id, "{}", "")
    store.jobs.ask_stop(first.id, "")
    store.jobs.signalled(first.id)
    store.jobs.end(first.id, "stopped", "Stopped.")
    second = ordered(store.jobs)
    assert store.jobs.queue_again(first.id, '{"changed": 1}', "Goes on at step 7.")
    again = store.jobs.get(first.id)
    assert [each.id for each in store.jobs.queued()] == [second.id, first.id]
    assert (again.pid, again.process_start, again.device, again.page) == (None, "", "", "")
    assert again.started_at is again.ended_at is again.signalled_at is again.stop_asked_at is None
    assert again.config == '{"changed": 1}' and again.words == "Goes on at step 7."
    store.jobs.claim(first.id, HOST, "cpu", "{}")
    store.jobs.end(first.id, "done", "Done.")
    assert not store.jobs.queue_again(first.id, "{}", "")


def test_a_job_goes_only_with_its_folder_and_not_while_it_runs(
    store: ConversationStore, tmp_path: Path
) -> None:
    made = ordered(store.jobs)
    store.jobs.claim(made.id, HOST, "cpu", "{}")
    with store.jobs.deleting(made.id) as goes:
        assert not goes
    store.jobs.end(made.id, "done", "")
    with pytest.raises(FileNotFoundError), store.jobs.deleting(made.id) as goes:
        assert goes
        (tmp_path / "not there").rename(tmp_path / "else")
    assert store.jobs.get(made.id).phase == "done"
    with store.jobs.deleting(made.id) as goes:
        assert goes
    assert store.jobs.all() == []
    with store.jobs.deleting(made.id) as goes:
        assert not goes


def test_who_was_asked_in_vain_is_given_up(store: ConversationStore) -> None:
    far = ordered(store.jobs, host="far")
    store.jobs.claim(far.id, "far", "cpu", "{}")
    store.jobs.ask_stop(far.id, "")
    now = datetime.now(UTC)
    assert store.jobs.asked_in_vain(HOST, now - timedelta(seconds=60)) == []
    assert [each.id for each in store.jobs.asked_in_vain(HOST, now + timedelta(seconds=1))] == [far.id]
    assert store.jobs.asked_in_vain("far", now + timedelta(seconds=1)) == []
    assert store.jobs.give_up(far.id, "No answer.") and not store.jobs.give_up(far.id, "No answer.")
    assert store.jobs.get(far.id).phase == "failed"


def test_stopped_while_it_waits_it_never_began(store: ConversationStore) -> None:
    made = ordered(store.jobs)
    assert store.jobs.end_queued(made.id, "stopped", "Never began.")
    assert not store.jobs.end_queued(made.id, "stopped", "Never began.")
    assert not store.jobs.claim(made.id, HOST, "cpu", "{}")
    assert store.jobs.get(made.id).started_at is None
