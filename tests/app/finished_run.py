"""Runs that came to their end, for tests of what is done with them: a real adapter of the tiny checkpoint in a folder
as the trainer leaves it, and held-out questions about pictures that are there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from conversations.errors import NotFound
from model.training.config import DataSource, TrainingConfig
from model.training.recipes import config_for
from model.training.run_folder import RunFolder
from model.training.status import RunStatus
from tests.browser.running_page import ROOT, environment

JOB, OTHER, WHOLE = "a" * 32, "b" * 32, "c" * 32

_WRITE = """
import sys
from pathlib import Path
import torch
from peft import LoraConfig, get_peft_model
from model import checkpoint
from model.training.adapters import write_result
from tests.model.tiny import tiny_llava

base, *folders = map(Path, sys.argv[1:])
for number, folder in enumerate([base, *folders]):
    model, tokenizer = tiny_llava()
    if number == 0:
        checkpoint.save(folder, model, tokenizer)
        continue
    torch.manual_seed(number)
    layers = r".*language_model.*(q_proj|v_proj|down_proj)"
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=64, target_modules=layers))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    with torch.no_grad():
        for weight in model.model.multi_modal_projector.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    write_result(folder, checkpoint.load(base, device="cpu").__class__(
        name="tiny", model=model, tokenizer=tokenizer, template=None, num_patches=16, image_token_id=0,
        context_tokens=2048, about="", pixels=None), adapted, str(base))
"""


@dataclass(frozen=True)
class FinishedJob:
    """What app.jobs.Job tells of a job that is done."""

    id: str
    name: str
    folder: RunFolder
    config: TrainingConfig
    phase: str = "done"
    frees_worker: bool = True


class FinishedJobs:
    """What app.jobs.Jobs tells of those."""

    def __init__(self, *jobs: FinishedJob) -> None:
        self.jobs = {job.id: job for job in jobs}

    def get(self, job_id: str) -> FinishedJob:
        if job_id not in self.jobs:
            raise NotFound(f"There is no job {job_id[:40]!r}; it may have been deleted.")
        return self.jobs[job_id]

    def list(self) -> Sequence[FinishedJob]:
        return tuple(reversed(self.jobs.values()))


def write_base_and_adapters(base: Path, *adapters: Path) -> None:
    """In a process of its own, so that the tests' process stays without torch."""
    subprocess.run(
        [sys.executable, "-c", _WRITE, str(base), *map(str, adapters)],
        cwd=ROOT, env=environment(), check=True, timeout=400,
    )  # fmt: skip


def finish(
    runs: Path, job_id: str, name: str, base: Path, recipe: str = "lora", rows: int = 4
) -> FinishedJob:
    """The small files of a run, and its held-out questions with pictures below runs/<id>/data."""
    folder = RunFolder(runs / job_id)
    pictures = folder.path / "data" / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    (folder.path / "data" / "train.json").write_text("[]")
    config = config_for(recipe, str(base), (DataSource(str(folder.path / "data" / "train.json")),))  # type: ignore[arg-type]
    folder.write_config(config)
    told = []
    for number in range(rows):
        file = pictures / f"{number}.png"
        Image.new("RGB", (48, 32), ("red", "green", "blue", "teal")[number % 4]).save(file)
        told.append({
            "question": f"What <b>colour</b> is picture {number}?", "pictures": [str(file)],
            "right": f"Colour {number}.", "before": "Colour 0.", "after": f"Colour {number}." if number else "None.",
        })  # fmt: skip
    folder.answers_file.write_text("".join(json.dumps(row) + "\n" for row in told))
    folder.write_status(
        RunStatus(
            phase="done", words="Done.", step=9, num_steps=9, result="adapter", matched_before=0.25,
            matched_after=0.75, num_asked=rows, held_out_loss_before=2.5, held_out_loss_after=0.25,
        )
    )  # fmt: skip
    return FinishedJob(job_id, name, folder, config)
