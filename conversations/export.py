"""Makes a data set of logged conversations: a folder with one file a side of the split (or as many as the format
has), the pictures, and `manifest.json`.

The folder appears whole or not at all: everything is written beside it and moved into place at the end. What is
already there is never written over. Conversations are taken one by one as they come, so that an export of any
length needs the same memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from conversations.errors import LogError
from conversations.examples import Item, LoggedConversation
from conversations.formats.contents import IMAGE_FOLDER
from conversations.formats.format import Format, Options, num_answers
from conversations.formats.picture_files import PictureFiles
from conversations.formats.row_files import RowFiles
from conversations.image_store import ImageStore
from conversations.lessons import lessons
from conversations.manifest import MANIFEST_NAME, Manifest, Tally
from conversations.new_folder import new_folder
from conversations.personal_data import masked
from conversations.selection import Selection, Side

PROGRESS_STEP = 500
"""Conversations between two reports."""

MAX_MISSING = 20

OnProgress = Callable[[Tally], None]
"""Called while an export is made; what it raises ends the export, and nothing is left behind."""


class FolderTaken(LogError, FileExistsError):
    """There is something where the export should go."""


def export(
    conversations: Iterable[LoggedConversation],
    images: ImageStore,
    folder: Path,
    format: Format,
    selection: Selection,
    *,
    options: Options | None = None,
    copy_pictures: bool = False,
    on_progress: OnProgress | None = None,
) -> Manifest:
    """Write a data set to `folder`, which is not there yet or is empty. The conversations come from the log with
    the selection's filters (`store.reader.conversations`). An item
    whose picture's file is gone is left out and counted. Raises FolderTaken, UnwritableFolder, DiskFull."""
    options = options or Options()
    tally = Tally()
    _refuse_taken(folder)
    with new_folder(folder) as part:
        pictures = PictureFiles(
            images, part / IMAGE_FOLDER if format.links_pictures else None, copy=copy_pictures
        )
        files = RowFiles(part, format, pictures)
        try:
            reported = _reporting(conversations, tally, on_progress)
            for side, item in items(reported, format, selection, tally, options):
                if missing := pictures.take(item.pictures):
                    _count_missing(tally, missing)
                    continue
                files.add(side, item)
                tally.num_rows[side] += 1
                tally.num_answers += num_answers(item)
                tally.num_pictures = pictures.num_files
            written = files.close()
        except BaseException:
            files.abandon()
            raise
        manifest = Manifest(format.name, options.several_pictures, selection, tally.to_dict(), written)
        (part / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    if on_progress is not None:
        on_progress(tally)
    return manifest


def items(
    conversations: Iterable[LoggedConversation],
    format: Format,
    selection: Selection,
    tally: Tally,
    options: Options | None = None,
) -> Iterator[tuple[Side, Item]]:
    """The rows to be, with the side on which each lies: for an export, a preview or a check. What is left out is
    counted in `tally`."""
    options = options or Options()
    mask = masked if selection.mask_personal_data else None
    for conversation in conversations:
        tally.num_conversations += 1
        found = lessons(format.kind, conversation, mask)
        tally.left_out.update(found.left_out)
        if found.shortened is not None:
            tally.shortened[found.shortened] += 1
        for item in found.items:
            refusal = format.refusal(item, options)
            side = side_of(item, conversation.id, selection)
            if refusal is not None:
                tally.left_out[refusal] += 1
            elif side is None:
                tally.left_out["pictures_on_different_sides"] += 1
            else:
                yield side, item


def _reporting(
    conversations: Iterable[LoggedConversation], tally: Tally, on_progress: OnProgress | None
) -> Iterator[LoggedConversation]:
    """The same conversations, with a report after every few, whether or not they gave a row."""
    for conversation in conversations:
        yield conversation
        if on_progress is not None and tally.num_conversations % PROGRESS_STEP == 0:
            on_progress(tally)


def side_of(item: Item, conversation_id: str, selection: Selection) -> Side | None:
    """The side of its pictures, or of its conversation where it has none; None where the pictures disagree."""
    sides = {selection.side(key) for key in item.pictures or (conversation_id,)}
    return sides.pop() if len(sides) == 1 else None


def _count_missing(tally: Tally, missing: Iterable[str]) -> None:
    tally.left_out["picture_missing"] += 1
    known = tally.missing_pictures
    known.extend(sha256 for sha256 in missing if sha256 not in known and len(known) < MAX_MISSING)


def _refuse_taken(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise FolderTaken(f"There is something in {folder} already; name another folder, or remove it.")
