"""Large files from the Hub: with bytes and time left, and taken up again where they were cut, also by another process.

huggingface_hub itself goes on after a dropped connection but begins a file anew after its process ended. Here the part
that came lies beside the finished files of the Hub's cache until it is whole; the library then finds it there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HTTPError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import WeakFileLock, build_hf_headers, tqdm

from ..checkpoint_errors import HubError
from .hub_cache import HubCache

_log = logging.getLogger(__name__)
TOLD_EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is."""

    name: str
    done_bytes: int
    total_bytes: int
    seconds_left: float | None  # None until there is something to judge by

    @property
    def fraction(self) -> float:
        return self.done_bytes / self.total_bytes if self.total_bytes else 1.0

    @property
    def words(self) -> str:
        """For people: `Downloading org/name: 1.2 of 13.1 GB, 4 min left`."""
        unit, size = ("GB", 1e9) if self.total_bytes >= 1e9 else ("MB", 1e6)
        told = (
            f"Downloading {self.name}: {self.done_bytes / size:.1f} of {self.total_bytes / size:.1f} {unit}"
        )
        if self.seconds_left is None:
            return told
        minutes = self.seconds_left / 60
        return f"{told}, {f'{minutes:.0f} min' if minutes >= 1 else f'{self.seconds_left:.0f} s'} left"


@dataclass(slots=True)
class Download:
    """Files of one commit that are not here yet, `total_bytes` in all."""

    commit: str
    total_bytes: int
    cache: HubCache
    endpoint: str | None = None
    on_progress: Callable[[Progress], None] | None = None
    _started: float = field(default_factory=time.monotonic)
    _told: float = 0.0
    _came: int = 0  # by this process
    _done: int = 0

    def get(self, name: str) -> None:
        """Download one file into the Hub's cache, where hf_hub_download then finds it. Raises HubError."""
        repository, cache = self.cache.repository, self.cache
        url = hf_hub_url(repository, name, revision=self.commit, endpoint=self.endpoint)
        try:
            about = get_hf_file_metadata(url, endpoint=self.endpoint)
            if about.etag is None:
                raise HubError(f"The Hub does not say which file {name} of {repository} is; try again later.")
            whole, part, lock = cache.blob(about.etag), cache.part(about.etag), cache.lock(about.etag)
            for folder in (whole.parent, lock.parent):
                folder.mkdir(parents=True, exist_ok=True)
            with WeakFileLock(lock):
                if not whole.exists():
                    self._get(about.location, name, part, about.size)
                    part.replace(whole)
        except (HTTPError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                why = error.strerror
            else:
                why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise HubError(
                f"{name} of {repository} was cut off ({why}); start again, and it goes on where it was cut."
            ) from error

    def _get(self, url: str, name: str, part: Path, size: int | None) -> None:
        headers = build_hf_headers()
        if urlsplit(url).netloc != urlsplit(self.endpoint or constants.ENDPOINT).netloc:
            headers.pop("authorization", None)  # where the Hub keeps its files the address itself allows it
        with part.open("ab") as file:
            before = file.tell()
            if size is not None and before > size:
                file.truncate(0)
                before = 0
            self._done += before
            http_get(
                url,
                file,
                resume_size=before,
                headers=headers,
                expected_size=size,
                displayed_filename=name,
                tqdm_class=self._bar(),
            )

    def _bar(self) -> type[tqdm]:
        """A bar that draws nothing and tells us what came."""
        download = self

        class Bar(tqdm):
            def __init__(self, *args: object, **options: object) -> None:
                super().__init__(*args, **(options | {"disable": True}))

            def update(self, n: float | None = 1) -> None:
                download._came_in(int(n or 0))

        return Bar

    def _came_in(self, num_bytes: int) -> None:
        self._came += num_bytes
        self._done += num_bytes
        now = time.monotonic()
        rate = self._came / max(now - self._started, 1e-3)
        total = self.total_bytes
        left = (total - self._done) / rate if rate > 0 else None
        progress = Progress(self.cache.repository, min(self._done, total), total, left)
        if self.on_progress is not None:
            self.on_progress(progress)
        if now - self._told >= TOLD_EVERY_SECONDS or self._done >= total:
            self._told = now
            _log.info("%s", progress.words)
