"""`python -m scripts.train --check`: looks through a run's data and at its base model, estimates what it needs, writes
check.json and prints it as a table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conversations.errors import LogError
from model.checkpoint import CheckpointError
from model.training import features
from model.training.base_model import look_at
from model.training.config import InvalidConfig, TrainingConfig
from model.training.data_check import CheckedData, OnProgress, check
from model.training.data_report import DataReport
from model.training.efficiency import efficiency
from model.training.estimate import Estimate, Run, estimate
from model.training.machine_speed import measure
from model.training.model_shape import ModelShape
from model.training.report_table import table
from model.training.run_folder import RunFolder, write_whole
from model.training.status import RunStatus

RUNS = Path("runs")
"""Where earlier runs tell how fast they were, besides the folder in which this one lies."""


def check_run(folder: RunFolder, config: TrainingConfig) -> int:
    """Returns the exit status: 0 where the run may start, 1 where it must not (`DataReport.stops` say why)."""
    folder.path.mkdir(parents=True, exist_ok=True)
    with _told(folder) as tell:
        report = _report(folder, config, tell)
    write_whole(folder.check_file, report.to_json())
    print(table(report))
    return 0 if report.may_start else 1


def _report(folder: RunFolder, config: TrainingConfig, tell: OnProgress) -> DataReport:
    try:
        base = look_at(config)
        checked = check(config, base.rendering, on_progress=tell)
        if not checked.report.may_start:
            return checked.report
        return checked.report.changed(estimate=_estimate(folder, config, base.shape, checked))
    except (CheckpointError, InvalidConfig, LogError) as error:
        return DataReport(model=config.model, stops=(str(error),))


def _estimate(folder: RunFolder, config: TrainingConfig, shape: ModelShape, checked: CheckedData) -> Estimate:
    work = checked.workload
    rows = work.batches(config).micro * max(length for length, _ in work.samples)
    machine = measure(config, shape, folder.path, rows)
    size = work.num_pictures * shape.num_patches * shape.tower_width * machine.bytes_per_number
    uses = work.num_picture_uses * work.num_epochs(config) / max(1, work.num_pictures)
    cached = features.pays(config.feature_cache, folder.path, size, uses)
    known = efficiency(_other_runs(folder), machine.device, config, shape, work, machine.flops_per_second)
    return estimate(Run(config, shape, work, machine, known, cached))


def _other_runs(folder: RunFolder) -> Iterator[Path]:
    for runs in {folder.path.absolute().parent, RUNS.absolute()}:
        if runs.is_dir():
            yield from (path for path in runs.iterdir() if path.is_dir())


@contextmanager
def _told(folder: RunFolder) -> Iterator[OnProgress]:
    """Tells in status.json how far the check is, in a folder that has none; the status of a run is left alone."""
    mine = not folder.status_file.exists()

    def tell(fraction: float) -> None:
        if mine:
            words = f"Looking through the data: {fraction:.0%}"
            folder.write_status(RunStatus(phase="checking", words=words, fraction=fraction))

    try:
        yield tell
    finally:
        if mine:
            folder.status_file.unlink(missing_ok=True)
