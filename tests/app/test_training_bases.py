"""The models that a run can begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.recent_models import RecentModels
from app.settings import ROOT
from app.training_bases import TrainingBases
from app.worker_child import WorkerOptions
from conversations.errors import InvalidText

DEMO = str(ROOT / "model" / "demo")


def test_the_running_model_stands_first_and_none_that_is_put_together_or_gone(tmp_path: Path) -> None:
    recent = RecentModels(tmp_path / "recent.json")
    for each in (
        WorkerOptions("hub/recent", dtype="bfloat16"),
        WorkerOptions("hub/delta", model_base="hub/base"),
        WorkerOptions("hub/tuned", adapter="runs/x"),
        WorkerOptions(str(tmp_path / "gone")),
        WorkerOptions("hub/running"),
    ):
        recent.remember(each)
    bases = TrainingBases(lambda: WorkerOptions("hub/running"), recent)
    assert [(each.value, each.facts) for each in bases.listed()] == [
        ("hub/running", "running"), ("hub/recent", "bfloat16"), (DEMO, ""),
    ]  # fmt: skip
    elsewhere = TrainingBases(lambda: None, None)
    assert [each.value for each in elsewhere.listed()] == [DEMO]


def test_a_typed_model_is_a_folder_or_a_name_on_the_hub() -> None:
    bases = TrainingBases(lambda: None, None)
    assert bases.checked("model/demo") == DEMO and bases.checked("some/model") == "some/model"
    for typed in ("", "nowhere", "../../x y", "a\0b"):
        with pytest.raises(InvalidText):
            bases.checked(typed)
