"""Whether a job's process is this machine's to judge, whatever name the machine had when the job was started.

A rebuilt container, a Space and a laptop in another network change their name, and their jobs stay under the old one.
So the name is only the first sign. The others: the process is seen here; or its page is dead, its folder lies here,
and it was either started since this very boot or has been silent for a while. What a living page looks after is that
page's, and what has its folder elsewhere nobody here can judge.
"""

from __future__ import annotations

import time
from pathlib import Path

from app import job_process
from app.job_process import ProcessMark
from conversations.jobs import JobRecord, JobRecords
from model.training.run_folder import RunFolder

QUIET_SECONDS = 60.0
"""A machine that cannot be seen, on the same disk, may go on with a job while its page is started anew; it writes to
the job's folder meanwhile."""


class JobPlace:
    """Looks afresh each time."""

    def __init__(self, records: JobRecords, runs: Path) -> None:
        self._records, self._runs = records, runs

    def is_here(self, record: JobRecord, host: str) -> bool:
        """Of a job that runs; `host` is what this machine is called now."""
        if record.host == host or record.page == self._records.page or self.is_seen(record):
            return True
        if self._records.page_lives(record.page) or not (self._runs / record.id).is_dir():
            return False
        return job_process.is_of_this_boot(record.process_start) or self.is_quiet(record)

    def is_seen(self, record: JobRecord) -> bool:
        """Its process runs before our eyes."""
        return record.pid is not None and job_process.is_running(
            ProcessMark(record.pid, record.process_start)
        )

    def is_orphan(self, record: JobRecord, host: str) -> bool:
        """Of a job that waits: the page that should write its data is dead."""
        if self._records.page_lives(record.page):
            return False
        return record.host == host or self.is_quiet(record)

    def is_quiet(self, record: JobRecord) -> bool:
        """Nothing was written to its folder lately."""
        folder = RunFolder(self._runs / record.id)
        written = (
            folder.path,
            folder.path / "data",
            folder.status_file,
            folder.metrics_file,
            folder.log_file,
        )
        newest = max((path.stat().st_mtime for path in written if path.exists()), default=0.0)
        return time.time() - newest >= QUIET_SECONDS
