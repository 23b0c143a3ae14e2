"""Which folders a client may name, and the list that outlives the worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.door.adapter_shelf import LIST_NAME, AdapterShelf, adapter_name
from model.door.api_error import ApiError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with one adapter, and a folder beside it that nobody may reach."""
    (tmp_path / "root" / "job" / "adapter").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    return tmp_path / "root"


def test_a_folder_below_the_root_may_be_named_from_there_or_absolutely(root: Path) -> None:
    shelf = AdapterShelf(root, "tiny")
    assert (
        shelf.folder("job/adapter") == shelf.folder(str(root / "job" / "adapter")) == root / "job" / "adapter"
    )


@pytest.mark.parametrize(
    "path",
    ["", ".", "..", "../outside", "job/../../outside", "/etc", "/", "~", "job//../..", "link", "link/deeper", "a\0b",
     "job/.hidden", "C:\\x", "\ud83d", "job/adapter\n", "-rf"],
)  # fmt: skip
def test_what_is_not_below_the_root_is_refused(root: Path, path: str) -> None:
    (root / "link").symlink_to(root.parent / "outside")
    (root.parent / "outside" / "deeper").mkdir()
    (root / ".hidden").mkdir()
    with pytest.raises(ApiError, match="below the worker's --adapter-root") as refused:
        AdapterShelf(root, "tiny").folder(path)
    assert refused.value.status == 400 and refused.value.param == "lora_path"


def test_a_folder_beside_whose_name_begins_like_the_roots_is_refused(root: Path) -> None:
    (root.parent / "rooted").mkdir()
    with pytest.raises(ApiError, match="below the worker's"):
        AdapterShelf(root, "tiny").folder(str(root.parent / "rooted"))


def test_a_folder_that_is_not_there_is_not_found(root: Path) -> None:
    with pytest.raises(ApiError, match="no folder 'job/other'") as refused:
        AdapterShelf(root, "tiny").folder("job/other")
    assert refused.value.status == 404


@given(st.text(alphabet=st.sampled_from("ab./\\~-\0 "), max_size=20))
def test_whatever_is_named_is_below_the_root_or_refused(path: str) -> None:
    root = Path(__file__).parent
    try:
        folder = AdapterShelf(root, "tiny").folder(path)
    except ApiError:
        return
    assert folder.resolve().is_relative_to(root) and folder.resolve() != root


def test_the_next_worker_finds_what_this_one_had(root: Path) -> None:
    shelf = AdapterShelf(root, "tiny")
    shelf.remember("kind", root / "job" / "adapter")
    AdapterShelf(root, "other").remember("theirs", root / "job")
    assert AdapterShelf(root, "tiny").remembered() == {"kind": root / "job" / "adapter"}
    shelf.forget("kind")
    assert AdapterShelf(root, "tiny").remembered() == {}
    assert AdapterShelf(root, "other").remembered() == {"theirs": root / "job"}
    assert [path.name for path in root.iterdir() if path.name.startswith(LIST_NAME)] == [LIST_NAME]


def test_what_is_gone_or_was_forged_is_left_out_of_the_list_with_a_word(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = {
        "tiny": {"gone": "job/gone", "out": "../outside", "a b": "job", "odd": 3, "kind": "job/adapter"}
    }
    (root / LIST_NAME).write_text(json.dumps(listed), encoding="utf-8")
    assert AdapterShelf(root, "tiny").remembered() == {"kind": root / "job" / "adapter"}
    assert "gone is left out" in caplog.text and "out is left out" in caplog.text


@pytest.mark.parametrize("content", ["{", "[1]", '{"tiny": 3}'])
def test_a_list_that_cannot_be_read_is_as_good_as_none(root: Path, content: str) -> None:
    (root / LIST_NAME).write_text(content, encoding="utf-8")
    assert AdapterShelf(root, "tiny").remembered() == {}


def test_a_list_that_cannot_be_written_is_a_warning(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / LIST_NAME).mkdir()
    AdapterShelf(root, "tiny").remember("kind", root / "job" / "adapter")
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize("name", ["", " ", "a b", "../x", "-a", "a\n", "x" * 101, "é"])
def test_a_name_that_could_be_mistaken_is_refused(name: str) -> None:
    with pytest.raises(ApiError, match="lora_name"):
        adapter_name(name)
