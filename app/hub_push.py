"""A result on its way to the Hub: the order for scripts/push_to_hub.py, with a card that says how it was trained.

The token travels in the environment of that one process: never in its arguments, which everybody can read, nor in any
file or log. What is uploaded is written into the run's folder first and removed when it is up.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.result_work import Order, environment_of
from app.worker_child import ROOT

if TYPE_CHECKING:
    from app.job_values import Job

FOLDER = "hub"
_CARD, _SETTINGS, _SCORES = ".card", "settings.json", "scores.json"
_KEPT = re.compile(
    r"[;.] [Tt]he folder [^;]* is whole[;,] run the command again( once there is a connection)?\.$"
)
"""What the script says to who stands at its command line: here the folder is gone, and a button begins anew."""
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
ON_THE_CARD = (
    "recipe", "num_epochs", "max_steps", "batch_size", "learning_rate", "projector_learning_rate", "lora_rank",
    "lora_alpha", "lora_dropout", "max_tokens", "held_out_share", "seed",
)  # fmt: skip
"""Of the settings: what tells nothing of the machine, its folders and its data's names."""


def is_repo(name: str) -> bool:
    return bool(_REPO.fullmatch(name))


def order(
    job: Job, model: Sequence[str], repo: str, token: str, *, private: bool, environment: Mapping[str, str]
) -> Order:
    """`model` is what follows --model. Without a token that of this machine (`hf auth login`) is used."""
    folder = job.folder.path.absolute()
    place = folder / _CARD
    scores = _scores(job)
    argv = [
        sys.executable, "-m", "scripts.push_to_hub", repo, "--model", *model, "--folder", str(folder / FOLDER),
        "--overwrite", "--private" if private else "--no-private", "--message", f"Upload {job.name}",
        "--settings", str(place / _SETTINGS), *(("--scores", str(place / _SCORES)) if scores else ()),
    ]  # fmt: skip
    if is_repo(job.config.model) and not (ROOT / job.config.model).is_dir():
        argv += ["--base-model", job.config.model]

    def prepare() -> None:
        place.mkdir(exist_ok=True)
        (place / _SETTINGS).write_text(json.dumps(_settings(job)), encoding="utf-8")
        (place / _SCORES).write_text(json.dumps(scores), encoding="utf-8")

    def tidy(went_well: bool) -> None:
        remove_all([*folder.glob(f".{FOLDER}-*"), folder / FOLDER, place])

    return Order(
        job.id,
        "push",
        f"Putting {job.name} on the Hub as {repo}",
        argv,
        # Who presses the button wants to go online, whatever the page itself was started with.
        environment_of(environment, HF_HUB_OFFLINE="0", **({"HF_TOKEN": token} if token else {})),
        prepare=prepare,
        said=lambda output: f"Uploading to {repo}" if f"To {repo} (" in output else f"Writing {job.name}",
        done=lambda output: _address(output) or f"It is on the Hub as {repo}.",
        failed=without_folder,
        tidy=tidy,
        secret=token,
    )


def _settings(job: Job) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(job.config.to_json())
    return {name: config[name] for name in ON_THE_CARD if config.get(name)}


def _scores(job: Job) -> dict[str, float]:
    status = job.folder.status()
    if status is None or status.matched_before is None or status.matched_after is None:
        return {}
    what = f"of {status.num_asked} held-out answers exactly right"
    return {f"before, {what}": status.matched_before, f"after, {what}": status.matched_after}


def without_folder(words: str) -> str:
    return _KEPT.sub("; try again.", words)


def _address(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith("Uploaded: ")]
    return f"{lines[-1]}." if lines else ""


def remove_all(paths: Iterable[Path]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
