"""Training jobs as the log keeps them: what was ordered, how it stands, and which process does it.

Every change of a job's phase names the phases from which it may come, in the statement itself, so that of two pages
that see the same thing at once one does it and the other is told that it came too late. What a job is told with
(`config`) is text here: only the page understands it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement, CursorResult, delete, exists, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from conversations.database import Database
from conversations.errors import NotFound
from conversations.log_text import can_be_kept, checked_title, kept_text
from conversations.page_lease import PageLease
from conversations.tables import JobRow

JobPhase = Literal["queued", "running", "stopping", "stopped", "done", "failed"]
JobData = Literal["given", "wanted", "written"]

RUNNING: tuple[JobPhase, ...] = ("running", "stopping")
ENDED: tuple[JobPhase, ...] = ("stopped", "done", "failed")


@dataclass(frozen=True, slots=True)
class JobRecord:
    """`data`: whether what it learns from is given in its config, still has to be written by the page `page`, or was.
    `process_start` tells its process `pid` from a later one with the same number. Times are UTC."""

    id: str
    name: str
    actor: str
    phase: JobPhase
    words: str
    config: str
    data: JobData
    frees_worker: bool
    host: str
    device: str
    page: str
    pid: int | None
    process_start: str
    created_at: datetime
    queued_at: datetime
    started_at: datetime | None
    stop_asked_at: datetime | None
    signalled_at: datetime | None
    ended_at: datetime | None


class JobRecords:
    """Any number of threads and processes may share one database. All may raise DatabaseBusy and its like."""

    def __init__(self, database: Database, lease: PageLease) -> None:
        self._database = database
        self._lease = lease

    @property
    def page(self) -> str:
        """The id of this process, by which others know whether it lives."""
        return self._lease.page_id

    def page_lives(self, page: str) -> bool:
        return self._lease.alive(page)

    # -- reading ---------------------------------------------------------------------------------------------

    def all(self) -> list[JobRecord]:
        """All, the newest first."""
        with self._database.reading() as session:
            rows = session.scalars(select(JobRow).order_by(JobRow.created_at.desc(), JobRow.id.desc()))
            return [_record(row) for row in rows]

    def get(self, job_id: str) -> JobRecord:
        """Raises NotFound."""
        with self._database.reading() as session:
            row = session.get(JobRow, job_id) if can_be_kept(job_id) else None
            if row is None:
                raise _not_found(job_id)
            return _record(row)

    def queued(self) -> Sequence[JobRecord]:
        """In the order in which they are to be started. Whichever host has a job's folder may take it."""
        return self._in_order(JobRow.phase == "queued")

    def running(self) -> Sequence[JobRecord]:
        """Of all hosts. A host may have had another name when it started some of them."""
        return self._in_order(JobRow.phase.in_(RUNNING))

    def asked_in_vain(self, host: str, before: datetime) -> Sequence[JobRecord]:
        """Of other hosts: those that were asked to stop before this time, and nobody there has done anything."""
        return self._in_order(JobRow.host != host, JobRow.phase == "stopping", JobRow.stop_asked_at < before)

    def _in_order(self, *which: ColumnElement[bool]) -> Sequence[JobRecord]:
        with self._database.reading() as session:
            rows = session.scalars(select(JobRow).where(*which).order_by(JobRow.queued_at, JobRow.id))
            return [_record(row) for row in rows]

    # -- a person's orders -----------------------------------------------------------------------------------

    def create(
        self,
        job_id: str,
        *,
        actor: str,
        name: str,
        config: str,
        host: str,
        words: str = "",
        data_wanted: bool = False,
        frees_worker: bool = False,
    ) -> JobRecord:
        """A job at the end of the queue. Raises InvalidText for a name that cannot be kept."""
        now = _now()
        row = JobRow(
            id=job_id,
            name=checked_title(name),
            actor=actor,
            phase="queued",
            words=words,
            config=config,
            data="wanted" if data_wanted else "given",
            frees_worker=frees_worker,
            host=host,
            device="",
            page=self.page if data_wanted else "",
            process_start="",
            created_at=now,
            queued_at=now,
        )
        with self._database.writing() as session:
            session.add(row)
            session.flush()
            return _record(row)

    def rename(self, job_id: str, name: str) -> None:
        """Raises NotFound, InvalidText."""
        line = checked_title(name)
        if not self._change(job_id, name=line):
            raise _not_found(job_id)

    def queue_again(self, job_id: str, config: str, words: str) -> bool:
        """At the end of the queue; False where it has not ended, or was done."""
        return self._change(
            job_id, ("stopped", "failed"), phase="queued", words=words, config=config, queued_at=_now(),
            device="", page="", pid=None, process_start="", started_at=None, stop_asked_at=None, signalled_at=None,
            ended_at=None,
        )  # fmt: skip

    def ask_stop(self, job_id: str, words: str) -> bool:
        """False where it does not run, or was asked before."""
        return self._change(job_id, ("running",), phase="stopping", words=words, stop_asked_at=_now())

    @contextmanager
    def deleting(self, job_id: str) -> Iterator[bool]:
        """The job goes when the block ends well: the block removes its folder. Gives False, and nothing happens, where
        it runs or is not there."""
        with self._database.writing() as session:
            query = delete(JobRow).where(JobRow.id == job_id, JobRow.phase.not_in(RUNNING))
            yield cast(CursorResult[Any], session.execute(query)).rowcount == 1

    # -- the queue -------------------------------------------------------------------------------------------

    def data_written(self, job_id: str, config: str) -> bool:
        """Its data is there, as this config names it. One that was stopped meanwhile keeps its words."""
        written = {"data": "written", "config": config, "page": ""}
        return self._change(job_id, ("queued",), words="", **written) or self._change(job_id, **written)

    def claim(self, job_id: str, host: str, device: str, config: str, beside: Sequence[str] = ()) -> bool:
        """Take a queued job for this page to start: True for one page alone, and only while nothing else runs on this
        device of its host. `beside` are jobs that run on this host under another name of it."""
        # The unique index alone would do, at the price of an error in PostgreSQL's log each time that a job is tried.
        other = aliased(JobRow)
        busy = exists().where(
            or_(other.host == host, other.id.in_(beside)),
            other.device == device,
            other.phase.in_(RUNNING),
            other.id != JobRow.id,
        )
        query = update(JobRow).where(
            JobRow.id == job_id, JobRow.phase == "queued", JobRow.data != "wanted", ~busy
        )
        values = {
            "phase": "running",
            "host": host,
            "device": device,
            "page": self.page,
            "config": config,
            "words": "",
        }
        try:
            with self._database.writing() as session:
                done = session.execute(
                    query.values(started_at=_now(), **values),
                    execution_options={"synchronize_session": False},
                )
                return cast(CursorResult[Any], done).rowcount == 1
        except (
            IntegrityError
        ):  # another page was quicker: PostgreSQL lets both get as far as the unique index
            return False

    def unclaim(self, job_id: str) -> bool:
        """Back to the place that it had: its process was never started."""
        return self._change(
            job_id, ("running",), self.page, phase="queued", device="", page="", started_at=None, words=""
        )

    def set_process(self, job_id: str, pid: int, process_start: str) -> bool:
        return self._change(job_id, RUNNING, self.page, pid=pid, process_start=process_start)

    def adopt(self, job_id: str, page: str, host: str) -> bool:
        """Look after a job whose page is gone; True for one page alone. It is this host's from now on, unless another
        runs on that device of it already: then it keeps the host's old name."""
        try:
            return self._change(job_id, RUNNING, page, page=self.page, host=host)
        except IntegrityError:
            return self._change(job_id, RUNNING, page, page=self.page)

    def signalled(self, job_id: str) -> bool:
        """Its process was asked to end."""
        return self._change(job_id, RUNNING, self.page, signalled_at=_now())

    def end(self, job_id: str, phase: JobPhase, words: str) -> bool:
        """How the process ended, by the page that looks after it."""
        return self._change(
            job_id, RUNNING, self.page, phase=phase, words=kept_text(words), ended_at=_now(), pid=None,
            process_start="", page="",
        )  # fmt: skip

    def end_queued(self, job_id: str, phase: JobPhase, words: str) -> bool:
        """A job that never began."""
        return self._change(job_id, ("queued",), phase=phase, words=kept_text(words), ended_at=_now())

    def give_up(self, job_id: str, words: str) -> bool:
        """A job of another host where nobody answers any more: failed, as far as can be told from here."""
        return self._change(job_id, ("stopping",), phase="failed", words=words, ended_at=_now(), page="")

    def _change(
        self,
        job_id: str,
        phases: Sequence[JobPhase] | None = None,
        by: str | None = None,
        /,
        **values: Any,
    ) -> bool:
        """Whether there was such a job, in one of these phases and looked after by this page."""
        if not can_be_kept(job_id):
            return False
        query = update(JobRow).where(JobRow.id == job_id)
        if phases is not None:
            query = query.where(JobRow.phase.in_(phases))
        if by is not None:
            query = query.where(JobRow.page == by)
        with self._database.writing() as session:
            return cast(CursorResult[Any], session.execute(query.values(**values))).rowcount == 1


def _record(row: JobRow) -> JobRecord:
    return JobRecord(**{each.name: getattr(row, each.name) for each in fields(JobRecord)})


def _not_found(job_id: str) -> NotFound:
    return NotFound(f"There is no job {job_id[:40]!r}; it may have been deleted.")


def _now() -> datetime:
    return datetime.now(UTC)
