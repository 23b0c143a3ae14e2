"""Checkpoints from the Hugging Face Hub: asked for by name, pinned to a commit, refused before anything large comes.

`org/name` is the newest commit, `org/name@revision` a branch, tag or commit. What is downloaded lies in the Hub's own
cache, shared with every other program. Without a network, what lies there complete is used. The way to the Hub and the
person's token are the library's (HF_ENDPOINT, HF_HOME, `hf auth login`).
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import validate_repo_id

from ..checkpoint_errors import CheckpointNotFound, HubError, NoRoom, UnsupportedCheckpoint
from .download import Download, Progress
from .hub_cache import HubCache, is_whole
from .json_file import read_object
from .lora import ADAPTER_CONFIG

_log = logging.getLogger(__name__)
_HUB_ID = re.compile(r"(?P<repository>[\w][\w.-]*/[\w][\w.-]*)(@(?P<revision>[\w][\w./-]*))?", re.ASCII)
READABLE = ("llava", "llava_llama", "llama", "clip", "clip_vision_model")
"""Checkpoints, and what completes partial ones."""

_SMALL = (".json", ".model", ".jinja", ".txt")
_PICKLED, _SAFE = ".bin", ".safetensors"
_SPARE_BYTES = 200_000_000
"""Left free on the disk beside what is downloaded: other programs write too."""


@dataclass(frozen=True, slots=True)
class Hub:
    """Where models are fetched from and kept. None means what the library says."""

    cache: Path | None = None
    endpoint: str | None = None
    on_download: Callable[[Progress], None] | None = None

    def fetch(self, name: str) -> Path:
        """The folder of a model: a folder here, or one downloaded. Raises CheckpointError."""
        if _is_folder(name):
            return Path(name)
        repository, revision = _parts_of(name)
        try:
            info = HfApi(endpoint=self.endpoint).model_info(
                repository, revision=revision, files_metadata=True
            )
        except GatedRepoError as error:
            raise self._gated(repository) from error
        except RevisionNotFoundError as error:
            raise HubError(
                f"{repository} has no revision {revision!r}; see {self._page(repository)}/commits for those it has."
            ) from error
        except RepositoryNotFoundError as error:
            raise CheckpointNotFound(
                f"There is no folder {name} and no model of that name on the Hub, or it is private: check the name, or "
                "sign in with `hf auth login`."
            ) from error
        except HfHubHTTPError as error:
            raise HubError(
                f"The Hub did not answer for {repository} ({_first_line(error)}); try again."
            ) from error
        except (OfflineModeIsEnabled, HTTPError, OSError) as error:
            return self._cached(name, repository, revision, error)
        return self._downloaded(repository, revision, info)

    def _gated(self, repository: str) -> HubError:
        return HubError(
            f"{repository} is gated: accept its terms at {self._page(repository)}, then sign in here with "
            "`hf auth login`."
        )

    def _page(self, repository: str) -> str:
        return f"{self.endpoint or constants.ENDPOINT}/{repository}"

    def _cached(self, name: str, repository: str, revision: str | None, error: Exception) -> Path:
        try:
            folder = Path(
                snapshot_download(repository, revision=revision, cache_dir=self.cache, local_files_only=True)
            )
        except LocalEntryNotFoundError:
            if HubCache(repository, self.cache).is_begun():
                raise self._incomplete(name, error) from error
            raise HubError(
                f"There is no folder {name}, and the Hub cannot be reached ({_first_line(error)}): connect this "
                f"machine to {self.endpoint or constants.ENDPOINT}, or copy the checkpoint here and give its folder."
            ) from error
        if not is_whole(folder):
            raise self._incomplete(name, error) from error
        _log.info(
            "The Hub cannot be reached; %s is read from what was downloaded earlier: %s", repository, folder
        )
        return folder

    def _incomplete(self, name: str, error: Exception) -> HubError:
        return HubError(
            f"The download of {name} was cut off and is not complete, and the Hub cannot be reached "
            f"({_first_line(error)}): connect this machine to {self.endpoint or constants.ENDPOINT} and start again, "
            "and it goes on where it was cut."
        )

    def _downloaded(self, repository: str, revision: str | None, info: ModelInfo) -> Path:
        files = {file.rfilename: file for file in info.siblings or [] if _is_wanted(file.rfilename)}
        names = [name for name in files if not _is_superseded(name, files)]
        commit, cache = str(info.sha), HubCache(repository, self.cache)
        _log.info("%s is at commit %s; %s@%s stays with it", repository, commit, repository, commit)
        small = [name for name in names if name.endswith(_SMALL)]
        for name in small:
            self._get(repository, name, commit)
        folder = self._refuse_others(repository, commit, small)
        large = [files[name] for name in names if name not in small and not (folder / name).is_file()]
        left = {file.rfilename: cache.num_bytes_left(_etag(file), file.size or 0) for file in large}
        self._check_disk(repository, sum(left.values()))
        total = sum(file.size or 0 for file in large if left[file.rfilename])
        download = Download(commit, total, cache, self.endpoint, self.on_download)
        for file in large:
            if left[file.rfilename]:
                download.get(file.rfilename)
            self._get(repository, file.rfilename, commit)
        cache.remember(revision, commit)
        return folder

    def _get(self, repository: str, name: str, commit: str) -> Path:
        try:
            return Path(
                hf_hub_download(
                    repository,
                    name,
                    revision=commit,
                    cache_dir=self.cache,
                    endpoint=self.endpoint,
                    tqdm_class=None,
                )
            )
        except GatedRepoError as error:
            raise self._gated(repository) from error
        except (HTTPError, OSError) as error:
            raise HubError(
                f"{name} of {repository} could not be downloaded ({_first_line(error)}); start again, and it goes on "
                "where it was cut."
            ) from error

    def _refuse_others(self, repository: str, commit: str, small: list[str]) -> Path:
        """Told by its config, before gigabytes are downloaded for nothing."""
        if "config.json" not in small and ADAPTER_CONFIG not in small:
            raise UnsupportedCheckpoint(
                f"{repository} has neither config.json nor {ADAPTER_CONFIG}: it is no checkpoint of transformers or "
                "LLaVA. Choose another."
            )
        any_file = self._get(repository, small[0], commit)
        folder = any_file.parents[small[0].count("/")]
        kind = read_object(folder / "config.json", may_lack=True).get("model_type")
        if kind not in READABLE and ADAPTER_CONFIG not in small:
            raise UnsupportedCheckpoint(
                f"{repository} is of another architecture: its config.json says model_type {kind!r}, expected 'llava' "
                "or 'llava_llama'. Nothing more was downloaded; choose a LLaVA."
            )
        return folder

    def _check_disk(self, repository: str, needed: int) -> None:
        cache = self.cache or Path(constants.HF_HUB_CACHE)
        existing = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
        free = shutil.disk_usage(existing).free
        if needed and needed + _SPARE_BYTES > free:
            raise NoRoom(
                f"{repository} needs {needed / 1e9:.1f} GB more on the disk of {cache}, where {free / 1e9:.1f} GB are "
                "free; make room, or set HF_HOME to a folder on another disk."
            )


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except OSError:  # a name that no file can have, for its length
        return False


def _parts_of(name: str) -> tuple[str, str | None]:
    """Repository and revision, None for the newest. Raises CheckpointNotFound for what can be no name on the Hub."""
    found = _HUB_ID.fullmatch(name)
    if found is None:
        raise CheckpointNotFound(
            f"There is no folder {name}; give the path of a checkpoint folder, or a name on the Hub such as "
            "llava-hf/llava-1.5-7b-hf."
        )
    try:
        validate_repo_id(found["repository"])
    except HFValidationError as error:
        raise CheckpointNotFound(
            f"There is no folder {name}, and no model on the Hub can have that name; give the path of a checkpoint "
            "folder, or a name on the Hub such as llava-hf/llava-1.5-7b-hf."
        ) from error
    return found["repository"], found["revision"]


def _etag(file: RepoSibling) -> str:
    """By what a file is kept in the cache: large ones by their SHA-256, others by git's own sum."""
    return str(file.lfs.sha256 if file.lfs is not None else file.blob_id)


def _is_wanted(name: str) -> bool:
    """Files of the model's top folder that are read here; no pictures, no other programs' weights, no code."""
    return "/" not in name and (name.endswith((*_SMALL, _SAFE)) or _is_weights_pickle(name))


def _is_weights_pickle(name: str) -> bool:
    stems = ("pytorch_model", "adapter_model", "mm_projector", "non_lora_trainables")
    return name.endswith(_PICKLED) and name.startswith(stems)


def _is_superseded(name: str, names: Iterable[str]) -> bool:
    """Pickled shards where the same weights lie there in safetensors too."""
    has_safe = any(other.startswith("model") and other.endswith(_SAFE) for other in names)
    return has_safe and name.startswith("pytorch_model")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
