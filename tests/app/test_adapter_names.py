"""What a run's adapter is called: a name that the worker takes, whatever the run is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapter_names import LIST_NAME, loaded_as, name_for
from model.door.adapter_shelf import LIST_NAME as THEIRS
from model.door.adapter_shelf import AdapterShelf, adapter_name

ID = "0123456789abcdef" * 2


@given(st.text(max_size=80), st.lists(st.text(max_size=8), max_size=4))
def test_any_run_gets_a_name_that_the_worker_takes_and_nobody_has(job_name: str, others: list[str]) -> None:
    taken = [*others, name_for(job_name, ID, ())]
    name = name_for(job_name, ID, taken)
    assert adapter_name(name) == name and name not in taken and len(name) <= 80


@pytest.mark.parametrize(
    ("job_name", "name"),
    [
        ("Corrected colours", "Corrected-colours"),
        ("Größe & Form!", "Grosse-Form"),
        ("v1.5_lora", "v1.5_lora"),
        ("☃", "adapter-abcdef"),
        ("--rm -rf /", "rm-rf"),
    ],
)
def test_the_name_stays_close_to_the_runs(job_name: str, name: str) -> None:
    assert name_for(job_name, ID, ()) == name


def test_the_workers_own_list_tells_what_is_loaded_as_what(tmp_path: Path) -> None:
    assert LIST_NAME == THEIRS
    shelf = AdapterShelf(tmp_path, "tiny")
    (tmp_path / "job" / "result").mkdir(parents=True)
    shelf.remember("kind", tmp_path / "job" / "result")
    assert loaded_as(tmp_path, "job/result", "tiny", ("kind",)) == "kind"
    assert loaded_as(tmp_path, "job/result", "tiny", ()) is None, "the list may be of a worker that is gone"
    assert loaded_as(tmp_path, "job/result", "other", ("kind",)) is None
    assert loaded_as(tmp_path, "other/result", "tiny", ("kind",)) is None


@pytest.mark.parametrize("told", ["", "{", "7", "[]", '{"tiny": 7}', '{"tiny": ["kind"]}'])
def test_a_broken_list_says_nothing(tmp_path: Path, told: str) -> None:
    (tmp_path / LIST_NAME).write_text(told)
    assert loaded_as(tmp_path, "job/result", "tiny", ("kind",)) is None
    assert loaded_as(tmp_path / "none", "job/result", "tiny", ("kind",)) is None


def test_a_list_of_the_real_form_is_read(tmp_path: Path) -> None:
    (tmp_path / LIST_NAME).write_text(json.dumps({"tiny": {"a": "x/result", "b": "y/result"}}))
    assert loaded_as(tmp_path, "y/result", "tiny", ("a", "b")) == "b"
