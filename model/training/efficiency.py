"""What share of a matrix product's speed training reaches: as earlier runs did, or else a first guess. No torch."""

from __future__ import annotations

import statistics
from pathlib import Path

from model.training.data_report import DataReport
from model.training.machine import Efficiency
from model.training.run_folder import RunFolder

FIRST_GUESS = {"cpu": 0.5, "cuda": 0.4, "mps": 0.3}
"""Of a GPU: what Chowdhery et al. 2022 ("PaLM", table 3) report of large models, rounded down. Of a CPU: measured here
(docs/training.md)."""

MOST_RUNS = 5


def efficiency(runs: Path, device: str, recipe: str) -> Efficiency:
    """Of the newest runs in `runs` with this recipe on this kind of device; their median."""
    reached: list[tuple[float, float, str]] = []
    for path in runs.iterdir() if runs.is_dir() else ():
        folder = RunFolder(path)
        share = _reached(folder, device, recipe)
        if share is not None:
            reached.append((folder.status_file.stat().st_mtime, share, path.name))
    if not reached:
        return Efficiency(FIRST_GUESS.get(device, FIRST_GUESS["cpu"]))
    newest = sorted(reached, reverse=True)[:MOST_RUNS]
    return Efficiency(statistics.median(share for _, share, _ in newest), newest[0][2])


def _reached(folder: RunFolder, device: str, recipe: str) -> float | None:
    """None for a run that tells nothing: of another kind, without a check, or too short."""
    status = folder.status()
    if status is None or status.phase != "done" or status.device.partition(":")[0] != device:
        return None
    try:
        report = DataReport.from_json(folder.check_file.read_text(encoding="utf-8"))
        of_recipe = folder.config().recipe == recipe
    except (OSError, ValueError):
        return None
    made = report.estimate
    speeds = [line["tokens_per_second"] for line in folder.metrics() if line.get("tokens_per_second")]
    if made is None or not of_recipe or not made.training_tokens or len(speeds) < 3:
        return None
    flops_per_token = made.training_flops / made.training_tokens
    return statistics.median(speeds) * flops_per_token / made.flops_per_second
