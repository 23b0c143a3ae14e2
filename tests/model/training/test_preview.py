"""A preview shows the very tokens that are trained on."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from conversations.template import plain_text
from model.training.data_check import check
from model.training.samples import read
from tests.model.training.data_sets import PATCHES, config_of, record, rendering, write

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda text: text.strip() and text == plain_text(text)
)


@settings(max_examples=15, deadline=None)
@given(exchanges=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3), with_picture=st.booleans())
def test_learned_pieces_are_the_answers_and_the_stops_behind_them(
    exchanges: list[tuple[str, str]], with_picture: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pictures = ["a.png"] if with_picture else []
        config = config_of(write(Path(folder), [record("r", exchanges, *pictures)]), held_out_share=0.0)
        made = rendering(config)
        (preview,) = check(config, made).report.previews
        (sample,) = read(config, made).train
    assert preview.num_tokens == len(sample.input_ids) == sum(piece.num_tokens for piece in preview.pieces)
    assert preview.num_trained == sample.num_trained
    learned = [piece for piece in preview.pieces if piece.trained]
    assert sum(piece.num_tokens for piece in learned) == int(sample.trained.sum())
    assert [piece.text for piece in learned] == [f" {answer.strip()}###" for _, answer in exchanges]
    text = "".join(piece.text for piece in preview.pieces)
    assert all(question.strip() in text for question, _ in exchanges)
    assert ("<image>" in text) == with_picture


def test_pictures_are_pieces_of_their_own_with_their_names_in_order(tmp_path: Path) -> None:
    file = write(tmp_path, [record("r", [("Which is red?", "The first.")], "one.png", "two.png")])
    config = config_of(file, held_out_share=0.0)
    (preview,) = check(config, rendering(config)).report.previews
    shown = [piece for piece in preview.pieces if piece.picture]
    assert [piece.picture for piece in shown] == ["one.png", "two.png"]
    assert all(
        (piece.text, piece.trained, piece.num_tokens) == ("<image>", False, PATCHES) for piece in shown
    )


def test_the_first_samples_of_each_source_are_shown_with_their_records(tmp_path: Path) -> None:
    texts = [record(str(n), [(f"Question {n}", f"Answer {n}")]) for n in range(6)]
    first, second = write(tmp_path, texts[:4], "first.json"), write(tmp_path, texts[4:], "second.json")
    config = config_of(first, second, held_out_share=0.0)
    previews = check(config, rendering(config), num_previews=2).report.previews
    assert [(Path(each.source).name, each.record) for each in previews] == [
        ("first.json", 1), ("first.json", 2), ("second.json", 1), ("second.json", 2),
    ]  # fmt: skip
