"""One model in the Hub's own cache, which every program of this machine shares: what of it is here, and what is not.

    models--org--name/blobs/ETAG          a file by what it holds; ETAG.part while it is on its way (download.py)
    models--org--name/snapshots/COMMIT/   the files of one commit, each a link to its blob
    models--org--name/refs/main           which commit a branch or tag stood for

The library writes the last of them only where it is asked by the branch's name. We ask by the commit, so we write it
ourselves, and once all is here: what a name leads to without a network is always whole.
"""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from ..checkpoint_errors import CheckpointError
from .lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from .weights import PROJECTOR_FILES, check_shards, has_weights

_log = logging.getLogger(__name__)
PART = ".part"
MAIN = "main"


@dataclass(frozen=True, slots=True)
class HubCache:
    """Where a model lies; `root` None is where the library says."""

    repository: str
    root: Path | None = None

    @property
    def folder(self) -> Path:
        root = self.root or Path(constants.HF_HUB_CACHE)
        return root / repo_folder_name(repo_id=self.repository, repo_type="model")

    def blob(self, etag: str) -> Path:
        return self.folder / "blobs" / etag

    def part(self, etag: str) -> Path:
        """What came of a file before it was cut."""
        return self.blob(etag + PART)

    def lock(self, etag: str) -> Path:
        return self.folder.parent / ".locks" / self.folder.name / f"{etag}.lock"

    def num_bytes_left(self, etag: str, size: int) -> int:
        """How much of a file is still to come."""
        if self.blob(etag).is_file():
            return 0
        part = self.part(etag)
        return max(0, size - part.stat().st_size) if part.is_file() else size

    def remember(self, revision: str | None, commit: str) -> None:
        """That all of this commit is here, so that its branch or tag leads to it without a network."""
        name = PurePosixPath(revision or MAIN)
        if str(name) == commit or name.is_absolute() or ".." in name.parts:
            return
        path = self.folder / "refs" / name
        try:
            if path.is_file() and path.read_text(encoding="utf-8") == commit:
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, beside = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(commit)
            os.chmod(beside, 0o644)
            os.replace(beside, path)  # others may read it at any moment
        except OSError as error:  # a cache that others fill and that may only be read
            _log.warning("%s cannot be written (%s): without a network, ask for the commit", path, error)

    def is_begun(self) -> bool:
        """Whether something of a download is here that never came to its end."""
        if any(self.folder.glob(f"blobs/*{PART}")):
            return True
        return any(not is_whole(snapshot) for snapshot in self.folder.glob("snapshots/*"))


def is_whole(snapshot: Path) -> bool:
    """Whether a commit's files are all here: weights come last, and an index names its shards."""
    if (snapshot / ADAPTER_CONFIG).is_file() and any((snapshot / name).is_file() for name in ADAPTER_WEIGHTS):
        return True
    if any((snapshot / name).is_file() for name in PROJECTOR_FILES):
        return True
    try:
        check_shards(snapshot)
    except CheckpointError:
        return False
    return has_weights(snapshot)
