"""What a person would type to do without the page what the form orders."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

from app.settings import ROOT, Settings
from app.training_sources import SELECTION_FILE, Choice
from conversations.formats.contents import IMAGE_FOLDER
from conversations.selection import Selection
from model.training.config import TrainingConfig

RUN = Path("runs") / "my-run"
"""Stands for the folder, which the program names itself when it starts a job; where it is taken, the next one."""

CommandLine = Callable[[TrainingConfig, Path], str]
"""Jobs.command_line."""


def shell_lines(command_line: CommandLine, data: Choice, config: TrainingConfig, database_url: str) -> str:
    """What exports a selection, where it is one, and what trains. For a shell in the program's own folder."""
    lines, run = [], _free()
    if data.kind == "library":
        lines.append(_export(run, data.selection or Selection(), database_url))
        written, pictures = str(run / SELECTION_FILE), str(run / "data" / IMAGE_FOLDER)
        sources = (
            replace(each, file=written, pictures=pictures) if each.file == SELECTION_FILE else each
            for each in config.data
        )
        config = config.changed(data=tuple(sources))
    return "\n".join([*lines, command_line(config, ROOT / run)])


def _free() -> Path:
    """A run's folder that is there already would go on by its own config."""
    names = (RUN if not number else RUN.with_name(f"{RUN.name}-{number + 1}") for number in count())
    return next(name for name in names if not (ROOT / name).exists())


def _export(run: Path, selection: Selection, database_url: str) -> str:
    words = ["python", "-m", "scripts.export_training_json", "--out", str(run / "data")]
    if database_url != Settings.database_url:
        words += ["--database-url", database_url]
    for name, value in selection.filters.to_json().items():
        if isinstance(value, bool):
            value = "yes" if value else "no"
        words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)
