"""What went into an export and what did not: counted while it is made, and kept beside it as `manifest.json`.

Nothing in it depends on when or where the export was made, so that the same export has the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conversations.errors import LogError
from conversations.formats.row_files import WrittenFile
from conversations.selection import SIDES, Selection, Side

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1

REASONS: Mapping[str, str] = {
    "private": "private conversations",
    "no_answer": "no answer yet",
    "rejected": "the first answer was rejected",
    "unfinished": "the first answer was stopped, failed or broke off, and is not corrected",
    "rated_down": "the first answer was rated down, and is neither corrected nor approved",
    "empty": "the first answer is empty",
    "not_meant": "no good answer on the exported branch meets the filters",
    "system_prompt_changed": "the system prompt was changed on the way",
    "system_prompt": "a system prompt, for which the format has no place",
    "several_pictures": "several pictures, for which the format has one place",
    "pictures_on_different_sides": "its pictures lie on different sides of the split",
    "picture_missing": "a picture's file is missing",
    "no_preference": "nothing was corrected, and no version preferred to another",
    "no_verdict": "nothing was rated or corrected",
    "bad_turn_before": "a bad answer stands above the one that is meant",
    "same_text": "both answers are the same text",
}
"""Why something is left out, in words."""


class BrokenManifest(LogError, ValueError):
    """A file that is not the manifest of an export."""


@dataclass(slots=True)
class Tally:
    """The counts, as they stand while an export is made."""

    num_conversations: int = 0  # that the filters found
    num_rows: Counter[Side] = field(default_factory=Counter)
    num_answers: int = 0  # that are learned
    num_pictures: int = 0  # different ones
    left_out: Counter[str] = field(default_factory=Counter)
    shortened: Counter[str] = field(default_factory=Counter)  # exported up to a bad turn, by what it was
    missing_pictures: list[str] = field(default_factory=list)  # SHA-256, the first MAX_MISSING

    @property
    def line(self) -> str:
        """For a progress bar."""
        left_out = self.left_out.total()
        return f"{self.num_conversations} conversations, {self.num_rows.total()} rows, {left_out} left out"

    def to_dict(self) -> dict[str, Any]:
        return {
            "conversations": self.num_conversations,
            "rows": {side: self.num_rows[side] for side in SIDES},
            "answers": self.num_answers,
            "pictures": self.num_pictures,
            "left_out": dict(sorted(self.left_out.items())),
            "shortened": dict(sorted(self.shortened.items())),
            "missing_pictures": self.missing_pictures,
        }


@dataclass(frozen=True, slots=True)
class Manifest:
    """An export in numbers, with the description by which it can be made again."""

    format: str
    several_pictures: bool
    selection: Selection
    counts: Mapping[str, Any]
    files: tuple[WrittenFile, ...]

    def to_json(self) -> str:
        values = {
            "schema_version": SCHEMA_VERSION,
            "format": self.format,
            "several_pictures": self.several_pictures,
            "selection": self.selection.to_dict(),
            "counts": self.counts,
            "files": [
                {"name": each.name, "rows": each.num_rows, "bytes": each.num_bytes, "sha256": each.sha256}
                for each in self.files
            ],
        }
        return json.dumps(values, ensure_ascii=False, indent=2) + "\n"

    def difference(self, before: Manifest) -> str | None:
        """In a sentence, which files are not what they were in `before`, an export by the same selection; None: all
        have the same bytes."""
        is_now, was = ({each.name: each.sha256 for each in one.files} for one in (self, before))
        names = sorted(name for name in is_now.keys() | was.keys() if is_now.get(name) != was.get(name))
        if not names:
            return None
        return (
            f"{', '.join(names)}: not what it was before. Ratings, corrections, decisions, the versions shown, "
            "what is private and what was deleted count as they stand."
        )

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Raises BrokenManifest, InvalidSelection, InvalidFilters."""
        try:
            values = json.loads(text)
            if values["schema_version"] != SCHEMA_VERSION:
                raise BrokenManifest(
                    f"The manifest's schema_version is {values['schema_version']!r}; this program reads "
                    f"{SCHEMA_VERSION}."
                )
            files = tuple(
                WrittenFile(each["name"], each["rows"], each["bytes"], each["sha256"])
                for each in values["files"]
            )
            selection = Selection.from_dict(values["selection"])
            several_pictures = values["several_pictures"] is True
            return cls(str(values["format"]), several_pictures, selection, values["counts"], files)
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            if isinstance(error, LogError):
                raise
            raise BrokenManifest(
                f"This is no manifest of an export ({type(error).__name__}: {error})."
            ) from error
