"""Examples from elsewhere become conversations of the log, so that existing data can be curated too.

A picture goes through the same door as any other, and stands before its question's text, as the log keeps it and
as LLaVA's own trainer moves it. What is in the store already, by its very bytes, is not encoded anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from conversations.errors import InvalidImport, PictureMissing, PictureRefused
from conversations.examples import Example
from conversations.formats.format import RowError
from conversations.image_store import ImageStore
from conversations.messages import ImageRef, Message
from conversations.store import ConversationStore
from conversations.training_json import PictureFolder, records_of
from conversations.whole import UNKNOWN_ANSWER, WholeConversation, WholeTurn

BATCH = 200
"""Records kept in one transaction."""


@dataclass(slots=True)
class ImportTally:
    """What was imported so far."""

    num_conversations: int = 0
    num_answers: int = 0
    num_moved: int = 0  # questions whose pictures did not stand first
    pictures: set[str] = field(default_factory=set)


def import_file(
    store: ConversationStore,
    owner: str,
    path: Path,
    pictures: PictureFolder,
    *,
    tag: str,
    first: int = 1,
    on_progress: Callable[[ImportTally], None] | None = None,
) -> ImportTally:
    """Keep the records of a LLaVA training JSON from number `first` on, a batch at a time, all under a tag. The
    file should have been looked through before (`training_json.faults`). Raises InvalidImport, which says how many
    records were kept."""
    tally = ImportTally()
    stored = _Stored(store.images, pictures)
    chosen = ((number, example) for number, example in records_of(path, stored.ref) if number >= first)
    try:
        while batch := list(islice(chosen, BATCH)):
            now = datetime.now(UTC)
            # apart by a moment each, since the library and an export keep the order of time
            times = [now - timedelta(microseconds=BATCH - place) for place in range(len(batch))]
            wholes = [_whole(example, tag, time) for (_, example), time in zip(batch, times, strict=True)]
            store.exchange.add(owner, wholes)
            tally.num_conversations += len(batch)
            tally.num_answers += sum(len(example.messages) // 2 for _, example in batch)
            tally.num_moved += sum(_was_moved(message) for _, each in batch for message in each.messages)
            tally.pictures.update(sha256 for _, example in batch for sha256 in example.pictures)
            if on_progress is not None:
                on_progress(tally)
    except InvalidImport as error:
        next_one = first + tally.num_conversations
        raise InvalidImport(
            f"{error} The {tally.num_conversations} records before number {next_one} were kept; mend the file and "
            f"go on with --first {next_one}."
        ) from error
    return tally


class _Stored:
    """Pictures by their names, put into the store when they are first met."""

    def __init__(self, images: ImageStore, pictures: PictureFolder) -> None:
        self._images = images
        self._pictures = pictures
        self._refs: dict[str, ImageRef] = {}

    def ref(self, name: str) -> ImageRef:
        if name not in self._refs:
            self._refs[name] = self._add(name)
        return self._refs[name]

    def _add(self, name: str) -> ImageRef:
        path = self._pictures.path(name)
        if path.stat().st_size > self._images.max_bytes:
            raise RowError(
                "image", f"{name} has {path.stat().st_size} bytes; at most {self._images.max_bytes} are kept"
            )
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            return ImageRef(sha256, *self._images.size(sha256))
        except PictureMissing:
            pass
        try:
            return self._images.add(data)
        except PictureRefused as error:
            raise RowError("image", f"{name}: {str(error).removesuffix('.')}") from error


def _whole(example: Example, tag: str, created_at: datetime) -> WholeConversation:
    answer = replace(UNKNOWN_ANSWER, system_prompt=example.system)
    turns = tuple(
        WholeTurn(place - 1 if place else None, message.role, message.text, message.images, answer=answer)
        for place, message in enumerate(example.messages)
    )
    return WholeConversation(turns, "", example.system, created_at, tags=(tag,))


def _was_moved(message: Message) -> bool:
    pictures_first = (*message.images, *(part for part in message.content if isinstance(part, str)))
    return message.content != pictures_first
