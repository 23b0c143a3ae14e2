"""Training jobs: ordered here by a person, kept in a table, done by processes of their own.

    Jobs (this file)     what a person may do with them
      JobWatch           starts what waits, sees how processes end          app/job_watch.py
        job_process      one process: started, known again, ended           app/job_process.py
        Devices          one job a device                                   app/job_devices.py
        Ending           how it ended, in words                             app/job_end.py
      JobData            writes what is learnt from, before it starts       app/job_data.py

The page never owns a job's process: it runs on when the page ends, and the next page finds it by its number and the
time at which it started.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from app.job_command import command_line, train_command
from app.job_data import JobData, WriteData
from app.job_end import SAVING_SECONDS, STOP_SECONDS, step_of
from app.job_values import Job, JobRefused
from app.job_watch import HOST, NEVER_BEGAN, SECONDS_BETWEEN, Command, JobWatch, refusal_of
from conversations.errors import LogError, NotFound
from conversations.jobs import ENDED, JobRecord, JobRecords
from conversations.log_text import kept_text
from conversations.new_folder import told
from model.training.config import InvalidConfig, TrainingConfig
from model.training.run_folder import RunFolder

__all__ = ["Job", "JobRefused", "Jobs"]

CLOSE_SECONDS = 10.0
"""For data that is being written when the page ends."""

_ID = re.compile(r"[0-9a-f]{32}")
_DELETED = ".deleted-"


class Jobs:
    """Any number of threads may call it. Beside what is said, all raise LogErrors such as DatabaseBusy."""

    def __init__(
        self,
        records: JobRecords,
        runs: Path,
        *,
        command: Command = train_command,
        environment: Mapping[str, str] | None = None,
        on_running: Callable[[Job], None] = lambda job: None,
        on_ended: Callable[[Job], None] = lambda job: None,
        seconds_between: float = SECONDS_BETWEEN,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        """`environment` is what the page was started with (its own settings are never passed on). `on_running` is
        called before a job's process is started, and for one that runs already when this page first sees it;
        `on_ended` when it has ended. Both come from the thread that looks after all jobs, and must return soon."""
        self._records = records
        self._runs = runs.absolute()
        self._on_running, self._on_ended = on_running, on_ended
        self._watch = JobWatch(
            records,
            self._runs,
            command,
            dict(os.environ if environment is None else environment),
            lambda record: self._tell(self._on_running, record),
            lambda record: self._tell(self._on_ended, record),
            seconds_between=seconds_between,
            stop_seconds=stop_seconds,
        )
        self._data = JobData(records, self._watch.wake)

    def start(self) -> None:
        """Begins to look after the jobs; those that an earlier page started are found again."""
        for leftover in self._runs.glob(f"{_DELETED}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        self._watch.start()

    def close(self) -> None:
        """The jobs' processes go on; what waits, waits for the next page."""
        self._data.close(CLOSE_SECONDS)
        self._watch.close(CLOSE_SECONDS)

    @property
    def trouble(self) -> str:
        """Why the jobs cannot be looked after at the moment (a locked database, say), in a sentence; "" if they
        can."""
        return self._watch.trouble

    # -- looking ---------------------------------------------------------------------------------------------

    def list(self) -> Sequence[Job]:
        """All, the newest first."""
        jobs = []
        for record in self._records.all():
            with suppress(InvalidConfig):  # of a newer version of this program
                jobs.append(self._job(record))
        return jobs

    def get(self, job_id: str) -> Job:
        """Raises NotFound."""
        return self._job(self._record(job_id))

    def clone(self, job_id: str) -> TrainingConfig:
        """Its settings, for another job: as they stand in its folder, or as it was last started with where somebody
        made nonsense of that file. Raises NotFound."""
        record = self._record(job_id)
        try:
            return self._folder(record).config()
        except (InvalidConfig, OSError):
            return TrainingConfig.from_json(record.config)

    def command_line(self, config: TrainingConfig, folder: Path) -> str:
        """The exact command, for people to copy; to be run in the program's own folder."""
        return command_line(config, folder)

    # -- ordering --------------------------------------------------------------------------------------------

    def create(
        self,
        actor: str,
        name: str,
        config: TrainingConfig,
        *,
        data: WriteData | None = None,
        frees_worker: bool = False,
    ) -> Job:
        """A job at the end of the queue, in a new folder with its config; returns at once.

        `data(folder)` is called soon, in a thread, with the empty folder `data` in the job's own: it fills it (an
        export) and gives the sources that the config is to name instead of its own, or None. What it raises makes the
        job failed. Raises InvalidText for a name that cannot be kept; DiskFull, UnwritableFolder."""
        job_id = uuid.uuid4().hex
        folder = RunFolder(self._runs / job_id)
        name = name.strip() or f"{config.recipe} of {Path(config.model).name or config.model}"
        try:
            with told(self._runs):
                # What people wrote, which an export holds, is for nobody else on the machine.
                folder.path.mkdir(mode=0o700, parents=True)
                folder.write_config(config)
                if data is not None:
                    (folder.path / "data").mkdir()
            record = self._records.create(
                job_id,
                actor=actor,
                name=name,
                config=config.to_json(),
                host=HOST,
                words="Its data is being written." if data is not None else "",
                data_wanted=data is not None,
                frees_worker=frees_worker,
            )
        except BaseException:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise
        if data is not None:
            self._data.add(job_id, folder, data)
        self._watch.wake()
        return self._job(record)

    def rename(self, job_id: str, name: str) -> None:
        """Raises NotFound, InvalidText."""
        self._record(job_id)
        self._records.rename(job_id, name)

    def stop(self, job_id: str) -> None:
        """Returns at once. A process is asked to save a checkpoint and end, and killed where it has not after 30
        seconds (ten minutes while it is saving). Raises NotFound, JobRefused for one that has ended."""
        record = self._record(job_id)
        if record.phase in ENDED:
            raise JobRefused(f"{record.name} has ended already; there is nothing to stop.")
        if record.phase == "queued" and self._records.end_queued(job_id, "stopped", NEVER_BEGAN):
            return
        self._records.ask_stop(
            job_id,
            f"Asked to save a checkpoint; what has not begun to after {STOP_SECONDS:.0f} seconds is killed.",
        )
        self._watch.wake()

    def resume(self, job_id: str) -> None:
        """Back into the queue; it goes on at its newest whole checkpoint. Raises NotFound, JobRefused."""
        record = self._record(job_id)
        folder = self._folder(record)
        if record.phase == "done":
            raise JobRefused(f"{record.name} is done; clone its settings to train again.")
        if record.phase not in ENDED:
            raise JobRefused(f"{record.name} is {record.phase} already.")
        if not folder.path.is_dir():
            raise JobRefused(
                f"The folder {folder.path} of {record.name} is not there; clone its settings to begin again."
            )
        if self._data.is_writing(job_id):
            raise JobRefused(f"The data of {record.name} is still being written; wait until it is.")
        if record.data == "wanted":
            raise JobRefused(
                f"The data of {record.name} was never written; choose it anew and clone the settings."
            )
        try:
            config = folder.config()
        except (InvalidConfig, OSError) as error:
            raise JobRefused(refusal_of(folder, error)) from error
        step = step_of(folder)
        words = "Begins again." if step is None else f"Goes on at step {step}."
        if not self._records.queue_again(job_id, config.to_json(), words):
            raise JobRefused(f"{record.name} was resumed by somebody else just now.")
        self._watch.wake()

    def refuse_delete(self, job_id: str) -> None:
        """What `delete` would refuse now; raises as it does."""
        record = self._record(job_id)
        self._refuse_in_use(record, self._folder(record).path)

    def delete(self, job_id: str) -> None:
        """The job and its folder, with all checkpoints and the result. Raises NotFound, and JobRefused for one that
        runs, whose data is being written, or that another job learns from."""
        record = self._record(job_id)
        folder = self._folder(record).path
        self._refuse_in_use(record, folder)
        with self._records.deleting(job_id) as goes:
            if not goes:
                raise JobRefused(f"{record.name} is running; stop it first.")
            removed = folder.with_name(f"{_DELETED}{job_id}")
            with told(self._runs), suppress(FileNotFoundError):
                folder.rename(removed)
        try:
            if removed.exists():
                shutil.rmtree(removed)
        except OSError as error:
            raise JobRefused(
                f"{record.name} is gone from the list, but {removed} could not be removed whole ({error.strerror}); "
                "remove it by hand."
            ) from error

    def _refuse_in_use(self, record: JobRecord, folder: Path) -> None:
        here = self._data.is_writing(record.id)
        if here or (
            record.data == "wanted" and record.phase == "queued" and self._records.page_lives(record.page)
        ):
            raise JobRefused(f"The data of {record.name} is being written; wait until it is.")
        if folder.is_symlink():
            raise JobRefused(
                f"{folder} leads elsewhere; remove by hand what it leads to, and the link itself."
            )
        for other in self._records.all():
            if other.id == record.id or record.id not in self._needed(other):
                continue
            if other.phase not in ENDED:
                raise JobRefused(f"{other.name} needs the folder of {record.name}; stop it first, or wait.")
            raise JobRefused(
                f"{other.name} could be resumed, and needs the folder of {record.name} for that; delete "
                f"{other.name} first, or resume it and wait until it is done."
            )

    def _needed(self, record: JobRecord) -> str:
        """The configs by which it runs or could be resumed, as text; "" where it could not. A folder in `runs` is
        named by its job's id, however its path is written."""
        folder = self._folder(record)
        if record.phase in ENDED and (
            record.phase == "done" or record.data == "wanted" or not folder.path.is_dir()
        ):
            return ""
        try:
            return record.config + folder.config_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return record.config

    # -- from the table --------------------------------------------------------------------------------------

    def _record(self, job_id: str) -> JobRecord:
        """Raises NotFound; nothing but a name that this program gave gets any further."""
        if not isinstance(job_id, str) or not _ID.fullmatch(job_id):
            raise NotFound(f"There is no job {job_id!r:.60}.")
        return self._records.get(job_id)

    def _folder(self, record: JobRecord) -> RunFolder:
        return RunFolder(self._runs / record.id)

    def _job(self, record: JobRecord) -> Job:
        folder = self._folder(record)
        status = folder.status()
        fault = folder.status_fault() if status is None else ""
        words = f"{record.words} How far it came is not known: {fault}" if fault else record.words
        if record.phase == "running":
            words = kept_text(status.words) if status is not None else fault or f"Runs on {record.host}."
        elif record.phase == "stopping" and status is not None and status.phase == "saving":
            minutes = f"{SAVING_SECONDS / 60:.0f} minutes after Stop"
            words = f"{kept_text(status.words)}; it is killed if it still does {minutes}."
        elif record.phase == "queued" and not folder.path.is_dir():
            words = (
                f"Its folder {folder.path} is not there, so it cannot begin; put it back, or delete the job."
                if record.host == HOST
                else f"Waits for a page on {record.host}."
            )
        elif record.phase == "queued":
            words = words or "Waits until its device is free."
        return Job(
            id=record.id,
            name=record.name,
            actor=record.actor,
            phase=record.phase,
            words=words,
            config=TrainingConfig.from_json(record.config),
            status=status,
            folder=folder,
            device=record.device,
            frees_worker=record.frees_worker,
            created_at=record.created_at,
            started_at=record.started_at,
            ended_at=record.ended_at,
        )

    def _tell(self, listener: Callable[[Job], None], record: JobRecord) -> None:
        """With the job as it is now; as it was last seen where it was deleted meanwhile."""
        with suppress(LogError):
            record = self._records.get(record.id)
        listener(self._job(record))
