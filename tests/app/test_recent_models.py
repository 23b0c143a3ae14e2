"""The models that were picked before: kept in a file, the newest first, and offered again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.model_picker import ModelPicker
from app.recent_models import MOST, RecentModels
from app.settings import ROOT
from app.worker_child import WorkerOptions
from tests.app.test_model_picker import Unmoved, switch


@pytest.fixture
def recent(tmp_path: Path) -> RecentModels:
    return RecentModels(tmp_path / "recent_models.json")


def test_the_newest_models_come_first_each_once_and_not_too_many(
    recent: RecentModels, tmp_path: Path
) -> None:
    for number in range(MOST + 3):
        recent.remember(WorkerOptions(f"org/m{number}", device="cuda", dtype="auto", quantize="none"))
    recent.remember(WorkerOptions("org/m5"))
    names = [each.model for each in recent.all().values()]
    assert names[:2] == ["org/m5", f"org/m{MOST + 2}"] and len(names) == len(set(names)) == MOST
    assert all(each.device is None for each in RecentModels(tmp_path / "recent_models.json").all().values())


@pytest.mark.parametrize(
    "told", ["", "{", "7", '{"model": "a/b"}', '[7, {}, {"model": 3}, {"model": "a/b", "token": "x"}]']
)
def test_a_broken_list_costs_the_list_only(recent: RecentModels, tmp_path: Path, told: str) -> None:
    (tmp_path / "recent_models.json").write_text(told)
    assert recent.all() == {}
    recent.remember(WorkerOptions("a/b"))
    assert json.loads((tmp_path / "recent_models.json").read_text()) == [{"model": "a/b"}]


@pytest.mark.parametrize("model", ["runs/\udcff", "x" * 5000, "ümläut/☃"])
def test_any_name_that_a_flag_can_bring_is_remembered_and_shown(recent: RecentModels, model: str) -> None:
    recent.remember(WorkerOptions(model))
    (offered,) = ModelPicker(Unmoved(), recent).told()["recent"]
    assert offered["name"].encode() and len(offered["name"]) == len(model)
    with pytest.raises(AssertionError, match="switched to"):
        switch(ModelPicker(Unmoved(), recent), recent=offered["key"])


def test_a_model_that_was_given_a_name_goes_by_it_and_its_place_is_told_beside(recent: RecentModels) -> None:
    recent.remember(
        WorkerOptions(str(ROOT / "runs" / "a" / "result"), served_name="Colours", dtype="float32")
    )
    (offered,) = ModelPicker(Unmoved(), recent).told()["recent"]
    assert (offered["name"], offered["facts"]) == ("Colours", "runs/a/result, float32")
    (options,) = recent.all().values()
    assert options.served_name == "Colours"
