"""Data sets made from the library: a folder each below the page's own data, named by the program, and as a zip."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.library_export_view import exports_html
from app.library_job import Job, Report
from app.library_outlook import (
    ROWS_SHOWN,
    ShowsPrompts,
    check_html,
    counts_html,
    expected,
    rows,
    rows_html,
)
from app.library_request import ExportOrder
from conversations.errors import InvalidText, LogError, NotFound
from conversations.examples import LoggedConversation
from conversations.export import export
from conversations.formats import FORMATS
from conversations.formats.format import Options
from conversations.manifest import MANIFEST_NAME, Manifest, Tally
from conversations.store import ConversationStore

MAX_COUNTED = 5_000_000
MAX_LISTED = 50
CONVERSATIONS_A_REPORT = 50

_NAME = re.compile(r"\d{8}-\d{6}-[a-z]{1,20}(?:-\d{1,3})?")


class LibraryExports:
    """Makes them, lists them and finds them again. `worker` shows prompts for Check, None where nothing can."""

    def __init__(self, store: ConversationStore, folder: Path, worker: ShowsPrompts | None = None) -> None:
        self._store = store
        self._folder = folder.absolute()
        self._worker = worker
        self.job = Job()

    def outlook(self, order: ExportOrder) -> dict[str, Any]:
        found = expected(self._store, order)
        first = rows(self._store, order, 0, ROWS_SHOWN)
        return {
            "counts": counts_html(found),
            "rows": rows_html(self._store, first),
            "number": found.tally.num_rows.total(),
            "readers": order.format.read_by,
        }

    def check(self, order: ExportOrder, number: int) -> str:
        if self._worker is None:
            raise InvalidText("This page shows no prompts.")
        return check_html(self._store, self._worker, order, number)

    def start(self, order: ExportOrder, actor: str) -> None:
        """Begin to make one, for whoever is to stand in the trail with it. Raises JobRunning."""
        folder = self._folder / self._new_name(order.format.name)

        def work(report: Report) -> str:
            return self._made(order, actor, folder, report)

        stopped = "Stopped; nothing of it was kept."
        self.job.start("export", f"The export {folder.name}", work, when_stopped=stopped)

    def stop(self) -> None:
        self.job.stop()

    def told(self) -> dict[str, Any]:
        """For the feed; what was made before stays as it is while something is being made."""
        state = self.job.state
        html = None if state.phase == "running" else exports_html(self.listed(), self._folder)
        return {**state.told(), "html": html}

    def listed(self) -> list[tuple[str, Manifest]]:
        """What was exported before, newest first. What cannot be read is left out."""
        if not self._folder.is_dir():
            return []
        found: list[tuple[str, Manifest]] = []
        for folder in sorted(self._folder.iterdir(), reverse=True):
            if len(found) < MAX_LISTED and _NAME.fullmatch(folder.name):
                try:
                    text = (folder / MANIFEST_NAME).read_text(encoding="utf-8")
                    found.append((folder.name, Manifest.from_json(text)))
                except (LogError, OSError):
                    continue
        return found

    def folder(self, name: str) -> Path:
        """Of a finished export. Raises NotFound for every other name."""
        folder = self._folder / name
        if not _NAME.fullmatch(name) or folder.is_symlink() or not (folder / MANIFEST_NAME).is_file():
            raise NotFound(f"There is no export {name[:60]!r}; it may have been removed.")
        return folder

    def order(self, name: str) -> ExportOrder:
        """By which an earlier export was made. Raises NotFound, BrokenManifest."""
        manifest = Manifest.from_json((self.folder(name) / MANIFEST_NAME).read_text(encoding="utf-8"))
        if manifest.format not in FORMATS:
            raise NotFound(f"There is no format {manifest.format[:60]!r} any more; choose another.")
        options = Options(manifest.several_pictures)
        return ExportOrder(FORMATS[manifest.format], options, manifest.selection, manifest)

    def _new_name(self, format: str) -> str:
        stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{format}"
        names = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
        return next(name for name in names if not (self._folder / name).exists())

    def _made(self, order: ExportOrder, actor: str, folder: Path, report: Report) -> str:
        selection = self._store.reader.closed(order.selection)
        filters = selection.filters
        num_meant = self._store.curation.count(filters, MAX_COUNTED).number
        tally = Tally()

        def reported(conversations: Iterator[LoggedConversation]) -> Iterator[LoggedConversation]:
            """The share of the answers that are meant is known exactly; that of the conversations is not."""
            num_done = 0
            for number, conversation in enumerate(conversations, start=1):
                yield conversation
                num_done += sum(turn.role == "assistant" and turn.is_meant for turn in conversation.turns)
                if number % CONVERSATIONS_A_REPORT == 0:
                    words = tally.line if tally.num_conversations else f"{number:,} conversations"
                    report(min(1.0, num_done / num_meant) if num_meant else None, words)

        def on_progress(now: Tally) -> None:
            nonlocal tally
            tally = now

        report(0.0, "Reading the log")
        with closing(self._store.reader.conversations(filters, selection.last_turn)) as conversations:
            manifest = export(
                reported(conversations),
                self._store.images,
                folder,
                order.format,
                selection,
                options=order.options,
                on_progress=on_progress,
            )
        counts = manifest.counts
        total = sum(counts["rows"].values())
        about = {"format": manifest.format, "selection": selection.to_dict()}
        self._store.curation.note_export(actor, total, about)
        made = f"{total:,} rows with {counts['answers']:,} answers and {counts['pictures']:,} pictures are in {folder}."
        difference = None if order.before is None else manifest.difference(order.before)
        return made if difference is None else f"{made} {difference}"
