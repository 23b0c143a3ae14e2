"""Writes what jobs will learn from, one job at a time, in a thread of its own: an export of a large library takes
minutes, and whoever ordered it does not wait for it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from app import wording
from conversations.errors import DatabaseBusy, DatabaseRefused, LogError, NotFound
from conversations.jobs import JobRecords
from model.training.config import DataSource, InvalidConfig
from model.training.run_folder import RunFolder

WriteData = Callable[[Path], Sequence[DataSource] | None]
"""Fills the empty folder that it is given, and says what is to be learnt from then; None: what the config says."""

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 1.0


class JobData:
    """`on_written` is called after each, whatever came of it."""

    def __init__(self, records: JobRecords, on_written: Callable[[], None]) -> None:
        self._records = records
        self._on_written = on_written
        self._orders: queue.SimpleQueue[tuple[str, RunFolder, WriteData] | None] = queue.SimpleQueue()
        self._waiting: set[str] = set()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, job_id: str, folder: RunFolder, write: WriteData) -> None:
        self._waiting.add(job_id)
        self._orders.put((job_id, folder, write))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="job-data", daemon=True)
            self._thread.start()

    def is_writing(self, job_id: str) -> bool:
        """Or will be: its folder is in use."""
        return job_id in self._waiting

    def close(self, seconds: float) -> None:
        """What is being written has this long to end; what waits stays undone, which the next page will say."""
        self._closed.set()
        self._orders.put(None)
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self) -> None:
        while (order := self._orders.get()) is not None and not self._closed.is_set():
            job_id, folder, write = order
            try:
                self._write(job_id, folder, write)
            except Exception:  # noqa: BLE001 - the next order may be better
                _log.exception("what became of the data of job %s could not be kept", job_id)
            self._waiting.discard(job_id)
            self._on_written()

    def _write(self, job_id: str, folder: RunFolder, write: WriteData) -> None:
        with suppress(NotFound):
            if self._kept(lambda: self._records.get(job_id).phase != "queued"):
                return  # stopped before its turn came
        try:
            sources = write(folder.path / "data")
            config = folder.config()
            if sources is not None:
                config = config.changed(data=tuple(sources))
                folder.write_config(config)
        except (LogError, InvalidConfig, OSError) as error:
            words = f"Its data could not be written: {error}"
        except Exception as error:  # noqa: BLE001 - whatever it is, the person is told
            _log.exception("the data of job %s could not be written", job_id)
            words = f"Its data could not be written: {wording.sentence(error)}"
        else:
            self._kept(lambda: self._records.data_written(job_id, config.to_json()))
            return
        self._kept(lambda: self._records.end_queued(job_id, "failed", words))

    def _kept(self, write: Callable[[], bool]) -> bool:
        """Tried until the database takes it: what was done must not be forgotten because it was locked."""
        while True:
            try:
                return write()
            except (DatabaseBusy, DatabaseRefused) as error:
                _log.warning("the jobs' table is tried again: %s", error)
                if self._closed.wait(_PAUSE_SECONDS):
                    raise
