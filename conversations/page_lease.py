"""Which page processes are alive: each holds a lock on a small file, which the kernel frees however the
process ends.

An answer that is "running" in the database is running in truth only while the page that streams it lives.
Time limits would guess at that (a queue may be long); a process id may be another process's by now. A lock
cannot lie: after kill -9 it is free at once, and a second page on the same database does not end the first
one's answers.
"""

from __future__ import annotations

import fcntl
import os
import re
import uuid
from pathlib import Path

_PAGE_ID = re.compile(r"[0-9a-f]{32}")


class PageLease:
    """This process's own lock, and a look at the others'. `folder` is shared by all pages of one database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.page_id, self._descriptor = self._take()

    def _take(self) -> tuple[str, int]:
        """A new file with the lock held. Between creating and locking, another page may have swept it away:
        again."""
        while True:
            page_id = uuid.uuid4().hex
            path = self._folder / f"{page_id}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists():
                return page_id, descriptor
            os.close(descriptor)

    def alive(self, page_id: str) -> bool:
        """Whether the process that took this id still runs (or this is our own)."""
        if page_id == self.page_id:
            return self._descriptor >= 0
        if not _PAGE_ID.fullmatch(page_id):
            return False
        return not self._if_free(page_id)

    def sweep(self) -> None:
        """Remove the files that dead pages left behind."""
        for path in self._folder.glob("*.lock"):
            if path.stem != self.page_id and _PAGE_ID.fullmatch(path.stem):
                self._if_free(path.stem, remove=True)

    def _if_free(self, page_id: str, *, remove: bool = False) -> bool:
        """Whether nobody holds this lock. The file is removed while we hold it ourselves, so that a page that
        has just made its file, and waits for the lock, sees afterwards that the file is gone. Our lock is a
        shared one, lest another page that looks at the same moment take it for a sign of life."""
        path = self._folder / f"{page_id}.lock"
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if remove:
                path.unlink(missing_ok=True)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def release(self) -> None:
        """Give the lock up; may be called twice."""
        if self._descriptor >= 0:
            (self._folder / f"{self.page_id}.lock").unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1
