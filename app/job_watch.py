"""Looks after the jobs: starts what waits, sees how processes end, and ends those that were asked to and do not.

A round every second, from a thread of its own. All that must outlive this page stands in the table or in the jobs'
folders, so that any page of this machine can go on with it: a job is looked after by one page, and by another as soon
as that one is dead. What the database does not take this second is tried again in the next.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app import job_process
from app.job_devices import VISIBLE, Device, Devices
from app.job_end import SAVING_SECONDS, STOP_SECONDS, Ending
from app.job_place import JobPlace
from app.job_process import ProcessMark
from conversations.errors import LogError
from conversations.jobs import JobRecord, JobRecords
from model.training.config import InvalidConfig, TrainingConfig
from model.training.run_folder import RunFolder
from model.training.status import RunStatus

Command = Callable[[Path], Sequence[str]]
"""From a job's folder to what is run."""

OnJob = Callable[[JobRecord], None]

HOST = socket.gethostname()[:255]
SECONDS_BETWEEN = 1.0
VAIN_SECONDS = 120.0
"""After which a job that another machine was asked to stop is given up."""

NEVER_BEGAN = "Stopped before it began."
_DATA_LOST = (
    "The page ended before the job's data was written. Nothing was trained; order it again (Clone settings)."
)
_log = logging.getLogger(__name__)


class JobWatch:
    """`on_running` is called before a job's process is started and when one is found that runs already, `on_ended`
    when it no longer does; both from this thread, so they must return soon."""

    def __init__(
        self,
        records: JobRecords,
        runs: Path,
        command: Command,
        environment: Mapping[str, str],
        on_running: OnJob,
        on_ended: OnJob,
        *,
        seconds_between: float = SECONDS_BETWEEN,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self._records = records
        self._runs = runs
        self._place = JobPlace(records, runs)
        self._command = command
        self._environment = environment
        self._on_running, self._on_ended = on_running, on_ended
        self._seconds_between, self._stop_seconds = seconds_between, stop_seconds
        self._devices: Devices | None = None
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._signalled_at: dict[str, datetime] = {}
        self._told: dict[str, JobRecord] = {}
        self._woken = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="job-watch", daemon=True)
        self.trouble = ""

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is something new; do not wait for the next round."""
        self._woken.set()

    def close(self, seconds: float) -> None:
        """The jobs go on without it."""
        self._closed.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _work(self) -> None:
        while not self._closed.is_set():
            trouble = self._round()
            if trouble and trouble != self.trouble:
                _log.warning("the jobs cannot be looked after just now, and will be: %s", trouble)
            self.trouble = trouble
            self._woken.wait(self._seconds_between)
            self._woken.clear()

    def _round(self) -> str:
        """What hindered it, in a sentence; "" if nothing did."""
        trouble = ""
        for step in (self._look_after_running, self._give_up_in_vain, self._start_queued, self._tell):
            try:
                step()
            except LogError as error:
                trouble = str(error)
            except Exception as error:  # noqa: BLE001 - one odd job must not leave all others alone
                _log.exception("a round of looking after the jobs failed")
                trouble = f"{type(error).__name__}: {error}"
        return trouble

    # -- what runs -------------------------------------------------------------------------------------------

    def _look_after_running(self) -> None:
        hindered: Exception | None = None
        for record in self._running_here():
            try:
                if record.page == self._records.page or self._adopted(record):
                    self._look_at(record)
            except Exception as error:  # noqa: BLE001 - told below, once all others have been looked at
                hindered = error
        if hindered is not None:
            raise hindered

    def _adopted(self, record: JobRecord) -> bool:
        return not self._records.page_lives(record.page) and self._records.adopt(record.id, record.page, HOST)

    def _running_here(self) -> list[JobRecord]:
        return [each for each in self._records.running() if self._place.is_here(each, HOST)]

    def _look_at(self, record: JobRecord) -> None:
        child = self._children.get(record.id)
        mark = self._mark_of(record, child)
        if mark is None:
            # Claimed, and the page died before it started anything.
            if not self._records.unclaim(record.id):
                self._records.end(record.id, "stopped", NEVER_BEGAN)
            return
        if (child.poll() is not None) if child is not None else not job_process.is_running(mark):
            self._end(record, mark, child)
        elif record.phase == "stopping":
            self._urge(record, mark)

    def _mark_of(self, record: JobRecord, child: subprocess.Popen[bytes] | None) -> ProcessMark | None:
        """Of its process, looked for where its number could not be written down."""
        if record.pid is not None:
            return ProcessMark(record.pid, record.process_start)
        if child is not None:
            mark = job_process.mark_of(child.pid) or ProcessMark(child.pid, "")
        else:
            found = job_process.find(record.id)
            if found is None:
                return None
            mark = found
        self._records.set_process(record.id, mark.pid, mark.start)
        return mark

    def _urge(self, record: JobRecord, mark: ProcessMark) -> None:
        asked_at = record.signalled_at or self._signalled_at.get(record.id)
        if asked_at is None:
            job_process.ask_to_end(mark)
            self._signalled_at[record.id] = datetime.now(UTC)
            self._records.signalled(record.id)
        elif self._is_late(record):
            job_process.kill(mark)
            self._woken.set()  # to see it end

    def _is_late(self, record: JobRecord) -> bool:
        asked_at = record.signalled_at or self._signalled_at.get(record.id)
        if asked_at is None or datetime.now(UTC) - asked_at < timedelta(seconds=self._stop_seconds):
            return False
        status = self._folder(record).status()
        is_saving = status is not None and status.phase == "saving"
        return not is_saving or datetime.now(UTC) - asked_at >= timedelta(seconds=SAVING_SECONDS)

    def _end(self, record: JobRecord, mark: ProcessMark, child: subprocess.Popen[bytes] | None) -> None:
        job_process.kill_remains(mark.pid)
        exit_status = None if child is None else child.returncode
        ending = Ending.of(
            self._folder(record), exit_status, asked=record.phase == "stopping", late=self._is_late(record)
        )
        self._records.end(record.id, *ending.told())
        self._children.pop(record.id, None)
        self._signalled_at.pop(record.id, None)

    def _give_up_in_vain(self) -> None:
        before = datetime.now(UTC) - timedelta(seconds=VAIN_SECONDS)
        for record in self._records.asked_in_vain(HOST, before):
            if self._place.is_here(record, HOST):
                continue
            self._records.give_up(
                record.id,
                f"Its machine {record.host} did not answer within {VAIN_SECONDS:.0f} seconds; whether the process "
                "still runs there cannot be told from here.",
            )

    # -- what waits ------------------------------------------------------------------------------------------

    def _start_queued(self) -> None:
        """In order: who waits for a device keeps it from those that came later."""
        taken: set[str] = set()
        hindered: Exception | None = None
        for record in self._records.queued():
            if not self._folder(record).path.is_dir():
                continue  # of a page with folders of its own, here or elsewhere
            try:
                self._look_at_queued(record, taken)
            except Exception as error:  # noqa: BLE001 - told below, once all others have been looked at
                hindered = error
        if hindered is not None:
            raise hindered

    def _look_at_queued(self, record: JobRecord, taken: set[str]) -> None:
        """Starts it if its device is free; what it waits for is added to `taken`."""
        if record.data == "wanted" and self._place.is_orphan(record, HOST):
            self._records.end_queued(record.id, "failed", _DATA_LOST)
            return
        folder = self._folder(record)
        try:
            config = folder.config()
        except (InvalidConfig, OSError) as error:
            self._records.end_queued(record.id, "failed", refusal_of(folder, error))
            return
        free = [each for each in self._found_devices().wanted(config.device) if each.key not in taken]
        if record.data == "wanted":
            taken |= {each.key for each in free[:1]}
        elif not any(self._started(record, config, device) for device in free):
            taken |= {each.key for each in free}

    def _found_devices(self) -> Devices:
        if self._devices is None:
            self._devices = Devices.find(self._environment)
        return self._devices

    def _started(self, record: JobRecord, config: TrainingConfig, device: Device) -> bool:
        """False where the device is taken, or another page was quicker."""
        beside = [each.id for each in self._running_here() if each.host != HOST]
        if not self._records.claim(record.id, HOST, device.key, config.to_json(), beside):
            return False
        folder = self._folder(record)
        self._hear(self._on_running, record)
        self._told[record.id] = record
        # The page may have been away when a process ended, and been told that it had failed.
        mark = job_process.find(record.id)
        if mark is None:
            environment = job_process.child_environment(self._environment, record.id)
            if config.device == "auto" and device.visible:
                environment[VISIBLE] = device.visible
            try:
                before = folder.status() or RunStatus()
                folder.write_status(before.changed(phase="starting", words="Starting", fraction=None))
                child = job_process.start(self._command(folder.path), folder.log_file, environment)
            except OSError as error:
                self._records.end(record.id, "failed", f"It could not be started: {error}.")
                return True
            self._children[record.id] = child
            mark = job_process.mark_of(child.pid) or ProcessMark(child.pid, "")
        self._records.set_process(record.id, mark.pid, mark.start)
        return True

    # -- who listens -----------------------------------------------------------------------------------------

    def _tell(self) -> None:
        running = {record.id: record for record in self._running_here()}
        for record in running.values():
            if record.id not in self._told:
                self._told[record.id] = record
                self._hear(self._on_running, record)
        for job_id in [each for each in self._told if each not in running]:
            self._hear(self._on_ended, self._told.pop(job_id))

    def _hear(self, listener: OnJob, record: JobRecord) -> None:
        try:
            listener(record)
        except Exception:  # noqa: BLE001 - a job does not fail because of who listens
            _log.exception("who wanted to hear of job %s failed", record.id)

    def _folder(self, record: JobRecord) -> RunFolder:
        return RunFolder(self._runs / record.id)


def refusal_of(folder: RunFolder, error: InvalidConfig | OSError) -> str:
    """Why the config in a folder cannot be used, and that nothing is lost."""
    words = str(error) if isinstance(error, InvalidConfig) else f"It cannot be read: {error.strerror}."
    return (
        f"{folder.config_file} cannot be used. {words} Nothing else was touched; correct it and press Resume."
    )
