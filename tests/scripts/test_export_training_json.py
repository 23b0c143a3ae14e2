"""The command makes what it says, checks what it is asked, and refuses in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conversations.selection import Selection
from conversations.store import ConversationStore
from scripts import export_training_json
from tests.conversations.small_log import OUTCOME, SETTINGS, png

PLAIN = replace(SETTINGS, system_prompt="")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ConversationStore]:
    store = ConversationStore.open(f"sqlite:///{tmp_path}/log/chats.db", tmp_path / "log" / "pictures")
    yield store
    store.close()


def told(store: ConversationStore, question: str, answer: str, colour: str | None = None) -> int:
    conversation = store.create("ann")
    images = [] if colour is None else [store.images.add(png(colour))]
    asked = store.add_question("ann", conversation.id, question, images)
    started = store.start_answer("ann", asked.id, PLAIN)
    return store.finish_answer(started.id, replace(OUTCOME, text=answer)).id


def run(tmp_path: Path, *arguments: str) -> int:
    return export_training_json.main([*arguments, "--database-url", f"sqlite:///{tmp_path}/log/chats.db"])


def rows(folder: Path) -> list[dict]:
    return json.loads((folder / "train.json").read_text(encoding="utf-8"))


def test_it_writes_a_data_set_and_says_what_is_in_it(
    store: ConversationStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(store, "What?", "A cat.", "red")
    wrong = told(store, "And this?", "A dog.", "blue")
    store.feedback.rate("ann", wrong, "down")
    assert run(tmp_path, "--out", str(tmp_path / "out")) == 0
    assert [row["conversations"][1]["value"] for row in rows(tmp_path / "out")] == ["A cat."]
    said = capsys.readouterr().out
    assert "llava, 1 train, 0 validation, 0 test; 1 answers, 1 pictures" in said
    assert "left out 1: the first answer was rated down" in said
    made = store.curation.trail()[0]
    assert (made.kind, made.value, made.about["format"]) == ("export", 1, "llava")
    assert made.about["selection"]["last_turn"] and made.actor.endswith("the command line")
    store.feedback.correct("ann", wrong, "A bird.")
    assert run(tmp_path, "--out", str(tmp_path / "again")) == 0
    assert [row["conversations"][1]["value"] for row in rows(tmp_path / "again")] == ["A cat.", "A bird."]


def test_filters_mean_what_they_mean_in_the_library(store: ConversationStore, tmp_path: Path) -> None:
    store.feedback.rate("ann", told(store, "Q1", "good"), "up")
    told(store, "Q2", "unrated", "red")
    assert run(tmp_path, "--out", str(tmp_path / "up"), "--rating", "up") == 0
    assert [row["conversations"][1]["value"] for row in rows(tmp_path / "up")] == ["good"]
    assert run(tmp_path, "--out", str(tmp_path / "seen"), "--has-picture", "yes") == 0
    assert [row["conversations"][1]["value"] for row in rows(tmp_path / "seen")] == ["unrated"]


def test_the_same_again_from_the_manifest(store: ConversationStore, tmp_path: Path) -> None:
    for number, colour in enumerate(("red", "blue", "green", "white")):
        told(store, f"Q{number} ann@example.org", "A", colour)
    flags = ["--test", "0.5", "--seed", "3", "--has-picture", "yes", "--no-masking", "--format", "messages"]
    assert run(tmp_path, "--out", str(tmp_path / "one"), *flags) == 0
    manifest = str(tmp_path / "one" / "manifest.json")
    assert run(tmp_path, "--out", str(tmp_path / "two"), "--again", manifest) == 0
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert len(files) >= 7
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_what_is_not_the_same_again_is_named(
    store: ConversationStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = told(store, "Q", "A cat.")
    told(store, "Q2", "A dog.")
    assert run(tmp_path, "--out", str(tmp_path / "one"), "--test", "1") == 0
    again = ("--again", str(tmp_path / "one" / "manifest.json"))
    assert run(tmp_path, "--out", str(tmp_path / "two"), *again) == 0
    assert capsys.readouterr().err == ""
    store.feedback.correct("ann", answer, "A bird.")
    assert run(tmp_path, "--out", str(tmp_path / "three"), *again) == 0
    assert "test.json: not what it was" in capsys.readouterr().err
    store.delete("ann", store.turn("ann", answer).conversation_id)
    assert run(tmp_path, "--out", str(tmp_path / "four"), *again) == 0
    assert "test.json: not what it was" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--rating", "up", "--no-masking"], "--rating and --no-masking"),
        (["--has-picture", "no"], "--has-picture"),
        (["--seed", "0"], "--seed"),
        (["--validation", "0", "--test", "0"], "--validation and --test"),
        (["--format", "llava"], "--format"),
        (["--several-pictures"], "--several-pictures"),
    ],
)
def test_again_takes_no_flag_that_the_manifest_decides(
    flags: list[str], named: str, store: ConversationStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(store, "Q", "A")
    assert run(tmp_path, "--out", str(tmp_path / "one")) == 0
    manifest = str(tmp_path / "one" / "manifest.json")
    assert run(tmp_path, "--out", str(tmp_path / "two"), "--again", manifest, *flags) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{named} cannot go with --again") and said.count("\n") == 1
    assert not (tmp_path / "two").exists()


def test_a_stored_selection_alone_goes_with_a_format(store: ConversationStore, tmp_path: Path) -> None:
    told(store, "Q", "A")
    (tmp_path / "selection.json").write_text(Selection(seed=7).to_json(), encoding="utf-8")
    again = ["--again", str(tmp_path / "selection.json"), "--format", "messages", "--copy-pictures"]
    assert run(tmp_path, "--out", str(tmp_path / "out"), *again) == 0
    assert (tmp_path / "out" / "train.jsonl").is_file()
    assert run(tmp_path, "--out", str(tmp_path / "other"), *again, "--test", "0.5") == 1


def test_check_shows_the_row_and_what_is_learned_of_it(
    store: ConversationStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(store, "What?", "A red square.", "red")
    told(store, "Is <image> ### a mark?", "a red circle")
    assert run(tmp_path, "--check", "2") == 0
    said = capsys.readouterr().out
    assert '"value": "Is < image> # # # a mark?"' in said
    assert "###Human: Is < image> # # # a mark?###Assistant:⟦ a red circle###⟧" in said
    assert "0 image tokens for 0 pictures" in said
    learned = [line for line in said.splitlines() if " learned '" in line]
    assert (
        "".join(line.split(" ", 1)[1].split("'")[1] for line in learned if "'" in line) == " a red circle###"
    )
    assert run(tmp_path, "--check", "1") == 0
    assert "36 image tokens for 1 pictures" in capsys.readouterr().out


def test_check_of_a_preference_learns_the_last_answer_alone(
    store: ConversationStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conversation = store.create("ann")
    first = store.add_question("ann", conversation.id, "Q1")
    one = store.finish_answer(store.start_answer("ann", first.id, PLAIN).id, replace(OUTCOME, text="one"))
    second = store.add_question("ann", conversation.id, "Q2", parent_id=one.id)
    two = store.finish_answer(store.start_answer("ann", second.id, PLAIN).id, replace(OUTCOME, text="two"))
    store.feedback.correct("ann", two.id, "three")
    assert run(tmp_path, "--check", "1", "--format", "preference") == 0
    said = capsys.readouterr().out
    assert "###Assistant: one###Human: Q2###Assistant:⟦ three###⟧" in said
    assert "###Assistant: one###Human: Q2###Assistant:⟦ two###⟧" in said
    assert "⟦ one" not in said


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--out", "OUT", "--rating", "sideways"], "sideways"),
        (["--out", "OUT", "--since", "yesterday"], "yesterday"),
        (["--out", "OUT", "--test", "1.5"], "test cannot be 1.5"),
        (["--out", "OUT", "--again", "none.json"], "none.json"),
        (["--out", "OUT", "--again", "broken.json"], "no JSON"),
        (["--out", "OUT", "--again", "foreign.json"], "no manifest"),
        (["--out", "LOG"], "There is something in"),
        (["--check", "9"], "There is no row 9"),
        (["--check", "1", "--checkpoint", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    flags: list[str],
    said: str,
    store: ConversationStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told(store, "Q", "A")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "foreign.json").write_text('{"schema_version": 1}')
    places = {"OUT": str(tmp_path / "out"), "LOG": str(tmp_path / "log")}
    assert run(tmp_path, *[places.get(flag, flag) for flag in flags]) == 1
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_mistyped_database_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--out", str(tmp_path / "out")) == 1
    assert "There is no database" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
