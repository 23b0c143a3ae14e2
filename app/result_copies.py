"""A run's result carried away: merged into a whole checkpoint, put on the Hub, or fetched as it is.

Merging and uploading are long work in processes of their own, one at a time (app/result_work.py). What is merged
appears whole in the run's folder or not at all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from app import hub_push
from app.result_work import Order, ResultWork, environment_of
from app.training_results import MERGED, RESULT, ResultRefused, TrainingResults, kind_of, whole_model
from conversations.errors import NotFound
from model.training.run_folder import RunFolder

ROOM = 1.02
"""A merged folder holds a little more than the weights of its base."""


class ResultCopies:
    """Any number of threads may call it; who may, the caller knows."""

    def __init__(self, results: TrainingResults, environment: Mapping[str, str] | None = None) -> None:
        """`environment` is that of the processes that merge and upload; this one's unless given."""
        self._results = results
        self._environment = dict(os.environ if environment is None else environment)
        self.work = ResultWork()

    def merge(self, job_id: str) -> None:
        """Begin to write adapter and base as one whole checkpoint. Raises NotFound, ResultRefused, WorkRunning."""
        job = self._results.job(job_id)
        if kind_of(job.folder) != "adapter":
            raise ResultRefused("Only an adapter can be merged, and this run brought out none.")
        out = (job.folder.path / MERGED).absolute()
        if out.exists():
            raise ResultRefused("This adapter is merged already; switch to it, or download it.")
        base, adapter = whole_model(job, "base"), str(job.folder.result.absolute())
        expected = ROOM * _weights_of(Path(base))
        self.work.start(
            Order(
                job.id,
                "merge",
                f"Merging {job.name}",
                (
                    sys.executable, "-m", "scripts.convert_checkpoint", str(out), "--to", "merged",
                    "--model", base, "--adapter", adapter,
                ),
                environment_of(self._environment),
                progress=lambda: _written(out.parent, expected),
                done=lambda output: "Merged into one whole checkpoint.",
                tidy=lambda went_well: hub_push.remove_all(out.parent.glob(f".{MERGED}-*")),
            )
        )  # fmt: skip

    def push(self, job_id: str, repo: str, token: str, *, private: bool) -> None:
        """Begin to put base and adapter, merged, or the whole model on the Hub. Raises NotFound, ResultRefused,
        WorkRunning."""
        job = self._results.job(job_id)
        kind = kind_of(job.folder)
        if not kind:
            raise ResultRefused("This run has no result that could be uploaded; it may not have ended well.")
        if not hub_push.is_repo(repo):
            raise ResultRefused(f"{repo[:100]!r} is no name on the Hub; write it as NAME/MODEL.")
        result = str(job.folder.result.absolute())
        model = (whole_model(job, "base"), "--adapter", result) if kind == "adapter" else (result,)
        self.work.start(
            hub_push.order(job, model, repo, token, private=private, environment=self._environment)
        )

    def folder(self, job_id: str, part: str) -> Path:
        """What is downloaded. Raises NotFound."""
        folder = self._results.job(job_id).folder.path
        if part == RESULT and kind_of(RunFolder(folder)):
            return folder / RESULT
        if part == MERGED and (folder / MERGED / "config.json").is_file():
            return folder / MERGED
        raise NotFound("This run has nothing of that kind to download.")


def _weights_of(folder: Path) -> int:
    """Bytes; 0 where they do not lie here."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) if folder.is_dir() else 0


def _written(folder: Path, expected: float) -> float | None:
    """How much of a merged folder is there, in the hidden one that it is written into. None while it is being read."""
    written = sum(path.stat().st_size for path in folder.glob(f".{MERGED}-*/new/*.safetensors"))
    return min(0.99, written / expected) if expected and written else None
