"""Tokens are sentencepiece's own, runs of spaces too; added tokens have the ids that the files say."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from conversations.messages import Message
from conversations.template import TEMPLATES
from model.checkpoint import CheckpointFormatError
from model.checkpoint.vocabulary import load_tokenizer
from model.prompt import render

LLAMA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "llama_tokenizer"
pytestmark = pytest.mark.skipif(not LLAMA.exists(), reason="LLaMA's vocabulary (shared/data) is not here")

texts = st.text(max_size=60) | st.lists(
    st.sampled_from(
        ["  ", " ", "   ", "\n", "\t", "int", "def", "▁", "北", "🙂", "é", "#", "word", "</s>", "0"]
    ),
    max_size=12,
).map("".join)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(LLAMA / "tokenizer.model", tmp_path)
    return tmp_path


@functools.cache
def pieces() -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(LLAMA / "tokenizer.model"))


@functools.cache
def fast(folder: str) -> PreTrainedTokenizerFast:
    return load_tokenizer(Path(folder))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("llama")
    shutil.copy(LLAMA / "tokenizer.model", folder)
    return str(folder)


@given(text=texts)
def test_text_has_the_ids_that_sentencepiece_gives_it(built: str, text: str) -> None:
    ids = fast(built)(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    # A text that is nothing, or begins with sentencepiece's own mark for a space, is where the two were never one.
    if text and not text.startswith("▁"):
        assert ids == pieces().encode(text)


def test_it_is_the_tokenizer_that_transformers_4_made_of_it(built: str) -> None:
    ours = json.loads(fast(built).backend_tokenizer.to_str())
    theirs = json.loads((LLAMA / "tokenizer.json").read_text(encoding="utf-8"))
    merges = [
        tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in theirs["model"]["merges"]
    ]
    assert [tuple(pair) for pair in ours["model"]["merges"]] == merges
    assert ours["model"]["vocab"] == theirs["model"]["vocab"]
    assert ours["normalizer"] == theirs["normalizer"]
    assert ours["decoder"] == theirs["decoder"]


def test_added_tokens_have_the_ids_of_the_files_and_are_never_typed(folder: Path) -> None:
    (folder / "added_tokens.json").write_text('{"<im_end>": 32002, "<im_patch>": 32000, "<im_start>": 32001}')
    tokenizer = load_tokenizer(folder)
    tokens = ["<im_patch>", "<im_start>", "<im_end>"]
    assert tokenizer.convert_tokens_to_ids(tokens) == [32000, 32001, 32002]
    typed = tokenizer("a <im_patch> b", add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert 32000 not in typed


def test_a_gap_in_the_added_tokens_is_named(folder: Path) -> None:
    (folder / "added_tokens.json").write_text('{"<far>": 32005}')
    with pytest.raises(CheckpointFormatError, match=r"<far> the id 32005, but .* is 32000"):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    ("legacy", "after_the_mark"), [(None, [3148, 1001]), (True, [3148, 1001]), (False, [11889])]
)
def test_after_a_special_token_the_checkpoints_own_rule_holds(
    folder: Path, legacy: bool | None, after_the_mark: list[int]
) -> None:
    """`</s>USER`: with a space of its own, or without where the tokenizer's config says legacy false."""
    (folder / "tokenizer_config.json").write_text(json.dumps({} if legacy is None else {"legacy": legacy}))
    tokenizer = load_tokenizer(folder)
    messages = [Message("user", ("Hi",)), Message("assistant", ("Yo",)), Message("user", ("Sure?",))]
    options = {"num_patches": 1, "image_token_id": -200}
    prompt = render(TEMPLATES["vicuna_v1"], messages, tokenizer, **options)
    at = prompt.input_ids.index(2) + 1
    assert prompt.input_ids[at : at + len(after_the_mark)] == after_the_mark
    saved = folder / "saved"
    tokenizer.save_pretrained(saved)
    assert render(TEMPLATES["vicuna_v1"], messages, load_tokenizer(saved), **options) == prompt


@pytest.mark.parametrize("content", [b"", b"no pieces", b"\x00" * 100])
def test_a_damaged_model_of_pieces_is_named(folder: Path, content: bytes) -> None:
    (folder / "tokenizer.model").write_bytes(content)
    with pytest.raises(CheckpointFormatError, match=r"tokenizer\.model is no readable sentencepiece model"):
        load_tokenizer(folder)


def test_a_truncated_model_of_pieces_is_named(folder: Path) -> None:
    path = folder / "tokenizer.model"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointFormatError, match=r"tokenizer\.model is no readable"):
        load_tokenizer(folder)
