"""The command that a job is, for the program and for people to copy."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.settings import ROOT
from model.training.config import DataSource, TrainingConfig
from model.training.recipes import config_for, text_width
from model.training.run_folder import RunFolder


def train_command(folder: Path) -> list[str]:
    """What runs a job by the config in its folder."""
    return [sys.executable, "-m", "scripts.train", "--run", str(folder)]


def command_line(config: TrainingConfig, folder: Path) -> str:
    """To be run in the program's own folder, as it stands. Where the folder has its config, that is enough; before,
    the whole config is said in flags (unless its files have their pictures in several folders, for which there is
    none)."""
    run = [_near(sys.executable), "-m", "scripts.train", "--run", _near(folder)]
    pictures = {source.pictures for source in config.data}
    if RunFolder(folder).config_file.exists():
        return shlex.join(run)
    if len(pictures) > 1:
        where, file = shlex.quote(_near(folder)), shlex.quote(_near(RunFolder(folder).config_file))
        return f"mkdir -p {where} && cat > {file} <<'END'\n{config.to_json()}END\n{shlex.join(run)}"
    run += ["--recipe", config.recipe, "--model", config.model]
    for source in config.data:
        run += ["--data", _source(source)]
    if where := "".join(pictures):
        run += ["--pictures", where]
    usual = asdict(
        config_for(config.recipe, config.model, config.data, text_width=text_width(ROOT / config.model))
    )
    for name, value in asdict(config).items():
        if name not in ("recipe", "model", "data") and value != usual[name]:
            run += ["--set", f"{name}={_value(value)}"]
    return shlex.join(run)


def _near(path: str | Path) -> str:
    """From the program's folder, where it lies in it."""
    absolute = Path(path).absolute()
    return str(absolute.relative_to(ROOT)) if absolute.is_relative_to(ROOT) else str(absolute)


def _source(source: DataSource) -> str:
    return source.file if source.share == 1 and "@" not in source.file else f"{source.file}@{source.share!r}"


def _value(value: Any) -> str:
    """As it stands, unless that would be read as something else."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        json.loads(value)
    except ValueError:
        return value
    return json.dumps(value)
