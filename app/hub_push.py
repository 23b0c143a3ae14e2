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

if TYPE_CHECKING:
    from app.training_results import Job

FOLDER = "hub"
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
    card = _write_card(folder, job)
    argv = [
        sys.executable, "-m", "scripts.push_to_hub", repo, "--model", *model, "--folder", str(folder / FOLDER),
        "--overwrite", "--private" if private else "--no-private", "--message", f"Upload {job.name}", *card,
    ]  # fmt: skip
    if not Path(job.config.model).is_absolute() and "/" in job.config.model:
        argv += ["--base-model", job.config.model] if is_repo(job.config.model) else []

    def tidy(went_well: bool) -> None:
        remove_all([*folder.glob(f".{FOLDER}-*"), folder / FOLDER, folder / _CARD])

    return Order(
        job.id,
        "push",
        f"Putting {job.name} on the Hub as {repo}",
        argv,
        # Who presses the button wants to go online, whatever the page itself was started with.
        environment_of(environment, HF_HUB_OFFLINE="0", **({"HF_TOKEN": token} if token else {})),
        said=lambda output: (
            f"Uploading to {repo}" if output.startswith(f"To {repo} ") else f"Writing {job.name}"
        ),
        done=lambda output: _address(output) or f"It is on the Hub as {repo}.",
        failed=without_folder,
        tidy=tidy,
        secret=token,
    )


_CARD = ".card"
_KEPT = re.compile(
    r"[;.] [Tt]he folder [^;]* is whole[;,] run the command again( once there is a connection)?\.$"
)
"""What the script says to who stands at its command line: here the folder is gone, and a button begins anew."""


def _write_card(folder: Path, job: Job) -> list[str]:
    """The settings and the shares, as the script reads them, and its flags for them."""
    place = folder / _CARD
    place.mkdir(exist_ok=True)
    config: dict[str, Any] = json.loads(job.config.to_json())
    settings = {name: config[name] for name in ON_THE_CARD if config.get(name)}
    (place / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    flags = ["--settings", str(place / "settings.json")]
    status = job.folder.status()
    if status is not None and status.matched_before is not None and status.matched_after is not None:
        scores = {
            f"held-out answers exactly right before, of {status.num_asked}": status.matched_before,
            f"held-out answers exactly right after, of {status.num_asked}": status.matched_after,
        }
        (place / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
        flags += ["--scores", str(place / "scores.json")]
    return flags


def without_folder(words: str) -> str:
    return _KEPT.sub("; try again.", words)


def _address(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith("Uploaded: ")]
    return f"{lines[-1]}." if lines else ""


def remove_all(paths: Iterable[Path]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
