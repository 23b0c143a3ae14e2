"""LLaVA's training JSON from anybody: read as it is meant, and refused by record and field where it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.errors import InvalidImport
from conversations.examples import Example
from conversations.formats.format import RowError
from conversations.formats.llava import example_of
from conversations.messages import ImageRef, Message
from conversations.training_json import MAX_FAULTS, PictureFolder, faults, records_of

HUMAN = {"from": "human", "value": "What?"}
GPT = {"from": "gpt", "value": "A cat."}


@pytest.fixture
def pictures(tmp_path: Path) -> PictureFolder:
    folder = tmp_path / "images"
    (folder / "coco").mkdir(parents=True)
    for name in ("a.png", "coco/b.jpg"):
        (folder / name).write_bytes(b"picture")
    (tmp_path / "secret.png").write_bytes(b"secret")
    return PictureFolder(folder)


def by_name(name: str) -> ImageRef:
    return ImageRef(name)


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "data.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def question(value: str, **more: Any) -> dict[str, Any]:
    return {"conversations": [{"from": "human", "value": value}, GPT], **more}


@pytest.mark.parametrize(
    ("row", "content"),
    [
        (question("<image>\nWhat?", image="a.png"), (ImageRef("a.png"), "What?")),
        (question("What?\n<image>", image="a.png"), ("What?", ImageRef("a.png"))),
        (question("<image>What?", image="a.png"), (ImageRef("a.png"), "What?")),
        (question("What?", image="a.png"), (ImageRef("a.png"), "What?")),
        (question("<image>", image="a.png"), (ImageRef("a.png"),)),
        (
            question("<image>\n<image>\nWhat?", image=["a.png", "b.png"]),
            (ImageRef("a.png"), ImageRef("b.png"), "What?"),
        ),
        (question("What?", image=None), ("What?",)),
        (question("a < image> b"), ("a <image> b",)),
    ],
)
def test_pictures_stand_where_their_marks_stand(row: dict, content: tuple) -> None:
    assert example_of(row, by_name).messages[0].content == content


def test_a_whole_record() -> None:
    row = {"id": 7, "image": "a.png", "conversations": [{"from": "system", "value": "S"}, HUMAN, GPT]}
    messages = (Message("user", (ImageRef("a.png"), "What?")), Message("assistant", ("A cat.",)))
    assert example_of(row, by_name) == Example("7", messages, "S")


BAD: list[tuple[Any, str]] = [
    ("text", "must be an object"),
    ({}, "conversations: must be a list"),
    ({"conversations": []}, "conversations: must be a list with at least one"),
    ({"conversations": ["x"]}, "conversations[0]: must be an object"),
    ({"conversations": [{"from": "human"}, GPT]}, "conversations[0].value: must be a text, not None"),
    (
        {"conversations": [HUMAN, {"from": "gpt", "value": 5}]},
        "conversations[1].value: must be a text, not 5",
    ),
    ({"conversations": [HUMAN, {"from": "robot", "value": "x"}]}, "conversations[1].from: cannot be 'robot'"),
    ({"conversations": [GPT, HUMAN]}, "conversations[0]: is the assistant's, where the user's"),
    ({"conversations": [HUMAN, HUMAN, GPT]}, "conversations[1]: is the user's"),
    ({"conversations": [HUMAN]}, "conversations: must end with a turn of the assistant"),
    ({"conversations": [HUMAN, GPT], "id": []}, "id: must be a text or a number"),
    (question("<image> <image>", image="a.png"), "conversations[0].value: there are more marks <image>"),
    (question("<image>"), "conversations[0].value: there are more marks"),
    (question("<image>", image=["a.png", "coco/b.jpg"]), "image: holds 2 pictures for 1 marks"),
    (question("x", image=5), "image: must be a list of names, not 5"),
    (question("x", image=[5]), "image[0]: must be a text, not 5"),
    (question("x", image="../secret.png"), "image: cannot be '../secret.png', which leads out"),
    (question("x", image="coco/../../secret.png"), "which leads out"),
    (question("x", image="\ud800.png"), r"image: cannot be '\ud800.png', which no file can be called"),
    (question("x", image="../../x.png"), "image: cannot be '../../x.png', which leads out"),
    (question("x", image="/etc/passwd"), "image: cannot be '/etc/passwd'; give a name relative"),
    (question("x", image="C:\\x.png"), "give a name relative"),
    (question("x", image="..\\secret.png"), "give a name relative"),
    (question("x", image="a.png\0.jpg"), "give a name relative"),
    (question("x", image=""), "give a name relative"),
    (question("x", image="https://example.org/x.png"), "no such file"),
    (question("x", image="none.png"), "image: names 'none.png', and there is no such file"),
    (question("x", image="coco"), "no such file"),
    (question("x", image="x" * 5000), "image: "),
    (question(" "), "conversations[0].value: is an empty question"),
    (question("a\0b"), "conversations[0].value: it contains a NUL character"),
    (question("\ud800"), "conversations[0].value: it contains a broken character"),
]


@pytest.mark.parametrize(("row", "said"), BAD, ids=[said[:40] for _, said in BAD])
def test_a_bad_record_is_named_with_its_field(
    row: Any, said: str, tmp_path: Path, pictures: PictureFolder
) -> None:
    path = written(tmp_path, question("fine"), row)
    read = records_of(path, pictures.ref)
    assert next(read)[0] == 1
    with pytest.raises(InvalidImport) as caught:
        next(read)
    assert "record 2, " in str(caught.value) and said in str(caught.value)
    assert faults(path, pictures) == (2, [str(caught.value)])


def test_links_that_lead_out_are_refused_and_others_are_not(tmp_path: Path, pictures: PictureFolder) -> None:
    (pictures.folder / "out.png").symlink_to(tmp_path / "secret.png")
    (pictures.folder / "in.png").symlink_to(pictures.folder / "a.png")
    (pictures.folder / "loop.png").symlink_to(pictures.folder / "loop.png")
    assert pictures.path("in.png").read_bytes() == b"picture"
    with pytest.raises(RowError, match="a link that leads out"):
        pictures.path("out.png")
    with pytest.raises(RowError):
        pictures.path("loop.png")


@given(
    st.text(max_size=12) | st.lists(st.sampled_from(["..", ".", "a.png", "coco", "/", "\\"])).map("/".join)
)
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "images"
        (folder / "coco").mkdir(parents=True)
        (folder / "a.png").write_bytes(b"")
        (Path(place) / "a.png").write_bytes(b"")
        try:
            path = PictureFolder(folder).path(name)
        except RowError:
            return
        assert path.resolve() == (folder / "a.png").resolve()


def test_all_faults_are_told_at_once_up_to_a_number(tmp_path: Path, pictures: PictureFolder) -> None:
    path = written(tmp_path, *[question("fine"), {}] * 3)
    count, found = faults(path, pictures)
    assert (count, len(found)) == (6, 3)
    path = written(tmp_path, *[{}] * 100)
    assert faults(path, pictures)[0] == MAX_FAULTS


def test_a_broken_end_is_a_fault_too(tmp_path: Path, pictures: PictureFolder) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([question("fine"), {}])[:-3])
    count, found = faults(path, pictures)
    assert count == 1
    assert "record 2" in found[0]
