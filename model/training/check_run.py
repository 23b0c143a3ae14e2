"""`python -m scripts.train --check`: looks through a run's data and at its base model, estimates what it needs, writes
check.json and prints it as a table."""

from __future__ import annotations

from conversations.errors import LogError
from model.checkpoint import CheckpointError
from model.training import features
from model.training.base_model import look_at
from model.training.config import InvalidConfig, TrainingConfig
from model.training.data_check import CheckedData, check
from model.training.data_report import DataReport
from model.training.efficiency import efficiency
from model.training.estimate import Estimate, Run, estimate
from model.training.machine_speed import measure
from model.training.model_shape import ModelShape
from model.training.report_table import table
from model.training.run_folder import RunFolder, write_whole


def check_run(folder: RunFolder, config: TrainingConfig) -> int:
    """Returns the exit status: 0 where the run may start, 1 where it must not (`DataReport.stops` say why)."""
    try:
        base = look_at(config)
        checked = check(config, base.rendering)
        report = checked.report
        if report.may_start:
            report = report.changed(estimate=_estimate(folder, config, base.shape, checked))
    except (CheckpointError, InvalidConfig, LogError) as error:
        report = DataReport(model=config.model, stops=(str(error),))
    folder.path.mkdir(parents=True, exist_ok=True)
    write_whole(folder.check_file, report.to_json())
    print(table(report))
    return 0 if report.may_start else 1


def _estimate(folder: RunFolder, config: TrainingConfig, shape: ModelShape, checked: CheckedData) -> Estimate:
    work = checked.workload
    rows = work.micro_batch(config) * max(length for length, _ in work.samples)
    machine = measure(config, shape, folder.path, rows)
    size = work.num_pictures * shape.num_patches * shape.tower_width * machine.bytes_per_number
    uses = work.num_picture_uses * config.num_epochs / max(1, work.num_pictures)
    existing = next(each for each in (folder.path, *folder.path.absolute().parents) if each.is_dir())
    cached = features.pays(config.feature_cache, existing, size, uses)
    known = efficiency(folder.path.parent, machine.device, config.recipe)
    return estimate(Run(config, shape, work, machine, known, cached))
