"""Train a model by a recipe: python -m scripts.train --recipe lora --model model/demo --data train.json --run runs/mine

A run's folder holds its config, and a run that was cut off goes on at its newest whole checkpoint:

    python -m scripts.train --run runs/mine

`--check` looks through the data first and trains nothing. Several processes or GPUs by accelerate or torchrun:

    accelerate launch -m scripts.train --run runs/mine

docs/training.md tells the rest. Exit status: 0 done, 3 stopped and saved, 1 failed (the sentence is in status.json).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.training.config import DataSource, InvalidConfig, TrainingConfig
from model.training.one_gpu import narrow
from model.training.recipes import RECIPES, config_for, text_width
from model.training.run_folder import RunFolder
from model.training.status import RunStatus


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = _parser()
    chosen = parser.parse_args(argv)
    folder = RunFolder(Path(chosen.run))
    goes_on = chosen.recipe is None and not (chosen.data or chosen.model or chosen.set)
    try:
        config = _config(chosen, folder)
    except (InvalidConfig, ValueError, OSError) as error:
        if goes_on and folder.config_file.exists() and not chosen.check:
            return _failed(folder, str(error))
        parser.error(str(error))
    device = narrow(config.device, os.environ)
    if chosen.check:
        from model.training.check_run import check_run

        return check_run(folder, config.changed(device=device))
    from model.training.loop import run

    return run(folder, device)


def _failed(folder: RunFolder, words: str) -> int:
    """A run whose config was edited into nonsense: whoever watches its folder is told."""
    folder.write_status((folder.status() or RunStatus()).changed(phase="failed", words=words))
    print(words, file=sys.stderr)
    return 1


def _config(chosen: argparse.Namespace, folder: RunFolder) -> TrainingConfig:
    """The folder's own, or a new one from the flags, which is then written there."""
    if chosen.recipe is None:
        if chosen.data or chosen.model or chosen.set:
            raise InvalidConfig("--model, --data and --set make a new config: name its --recipe too.")
        return folder.config()
    if folder.config_file.exists():
        raise InvalidConfig(
            f"{folder.path} holds a run already; go on with it by --run alone, or name another folder."
        )
    if not chosen.model or not chosen.data:
        raise InvalidConfig("A new run needs --model and --data.")
    sources = tuple(_source(each, chosen.pictures or "") for each in chosen.data)
    changes = dict(_setting(each) for each in chosen.set)
    config = config_for(
        chosen.recipe,
        chosen.model,
        sources,
        scale=chosen.scale,
        text_width=text_width(chosen.model),
        **changes,
    )
    folder.write_config(config)
    return config


def _source(given: str, pictures: str) -> DataSource:
    """FILE or FILE@SHARE."""
    file, at, share = given.rpartition("@")
    if not at or Path(given).exists():
        return DataSource(given, pictures)
    try:
        return DataSource(file, pictures, float(share))
    except ValueError as error:
        raise InvalidConfig(f"--data is FILE or FILE@SHARE, not {given!r}.") from error


def _setting(given: str) -> tuple[str, Any]:
    """FIELD=VALUE, the value as JSON, or as it stands where it is none."""
    name, equals, value = given.partition("=")
    if not equals:
        raise InvalidConfig(f"--set is FIELD=VALUE, not {given!r}.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--run", "--run-folder", required=True, metavar="DIR",
        help="the run's folder (under torchrun by its longer name: torchrun takes --run for one of its own)",
    )  # fmt: skip
    parser.add_argument(
        "--recipe", choices=list(RECIPES), help="; ".join(f"{r.name}: {r.words}" for r in RECIPES.values())
    )
    parser.add_argument("--model", help="the base: a checkpoint's folder, or a name on the Hub")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="FILE[@SHARE]",
        help="training JSON; again for more files",
    )
    parser.add_argument(
        "--pictures", metavar="DIR", help="where the files' pictures lie (default: beside each file)"
    )
    parser.add_argument(
        "--scale", choices=("small", "paper"), default="small", help="whose values (%(default)s)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="any field of config.json"
    )
    parser.add_argument("--check", action="store_true", help="look through the data and train nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
