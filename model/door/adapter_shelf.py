"""Where adapters may be loaded from, and which ones are: a folder that the worker was started with, and a list in it.

A client names a folder below that one; nothing above or beside it can be reached, by dots, by an absolute path or by a
link. The list outlives the worker: a new one starts with what the last one had. It is kept by the base model's name,
since an adapter fits no other, so that workers of several models can share the folder.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePath

from model.door.api_error import ApiError, invalid

_log = logging.getLogger(__name__)
LIST_NAME = "loaded_adapters.json"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ -]{0,99}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")


class AdapterShelf:
    """The adapters below `root`, for one base model."""

    def __init__(self, root: Path, base_model: str) -> None:
        self._root = root.absolute()
        self._base_model = base_model

    def folder(self, lora_path: str) -> Path:
        """The folder that a client names, absolute or below the root. Raises ApiError."""
        given = PurePath(lora_path)
        if given.is_absolute():
            if not given.is_relative_to(self._root):
                raise self._not_below(lora_path)
            given = given.relative_to(self._root)
        if not given.parts or not all(_PART.fullmatch(part) for part in given.parts):
            raise self._not_below(lora_path)
        folder = self._root.joinpath(*given.parts)
        if not folder.resolve().is_relative_to(self._root.resolve()):  # by way of a link
            raise self._not_below(lora_path)
        if not folder.is_dir():
            raise ApiError(
                404,
                "adapter_not_found",
                f"There is no folder {given.as_posix()[:80]!r} below the worker's --adapter-root.",
                param="lora_path",
            )
        return folder

    def remember(self, name: str, folder: Path) -> None:
        """Put it on the list that the next worker reads."""
        self._write({**self._read(), name: folder.relative_to(self._root).as_posix()})

    def forget(self, name: str) -> None:
        self._write({each: path for each, path in self._read().items() if each != name})

    def remembered(self) -> dict[str, Path]:
        """Names and folders of what was loaded last. What is gone or no longer allowed is left out, with a word."""
        found: dict[str, Path] = {}
        for name, path in self._read().items():
            try:
                found[adapter_name(name)] = self.folder(path)
            except ApiError as error:
                _log.warning("the adapter %s is left out: %s", name, error.message)
        return found

    def _read(self) -> dict[str, str]:
        return self._all().get(self._base_model, {})

    def _all(self) -> dict[str, dict[str, str]]:
        try:
            told = json.loads((self._root / LIST_NAME).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be read, so no adapter is loaded: %s", self._root / LIST_NAME, error)
            return {}
        if not isinstance(told, dict):
            return {}
        return {model: _texts(names) for model, names in told.items() if isinstance(names, dict)}

    def _write(self, names: Mapping[str, str]) -> None:
        """Whole or not at all: a worker that dies meanwhile leaves the list as it was."""
        fresh = self._root / f"{LIST_NAME}.{os.getpid()}"
        kept = {**self._all(), self._base_model: dict(names)}
        try:
            fresh.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            fresh.replace(self._root / LIST_NAME)
        except (
            OSError
        ) as error:  # the adapter is loaded all the same; only the next worker will not know of it
            _log.warning("%s cannot be written: %s", self._root / LIST_NAME, error)

    @staticmethod
    def _not_below(lora_path: str) -> ApiError:
        return invalid(
            f"lora_path is {lora_path[:80]!r}; name a folder below the worker's --adapter-root, such as 'job/adapter'.",
            "lora_path",
        )


def adapter_name(name: str) -> str:
    """The name, if an adapter may have it. Raises ApiError."""
    if not _NAME.fullmatch(name):
        raise invalid(
            f"lora_name is {name[:80]!r}; use up to 100 letters, digits and . _ : / - after a first letter or digit.",
            "lora_name",
        )
    return name


def _texts(names: Mapping[str, object]) -> dict[str, str]:
    return {name: path for name, path in names.items() if isinstance(path, str)}
