"""The texts of a prompt's tokens, joined, are the prompt."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from conversations.messages import ImageRef, Message
from conversations.template import TEMPLATES
from model.prompt import Prompt, render
from model.token_pieces import token_pieces
from tests.model.tiny import tiny_tokenizer

ROOT = Path(__file__).resolve().parents[2]
LLAMA = ROOT.parent / "shared" / "data" / "llama_tokenizer"
TINY = tiny_tokenizer()


def prompt_of(tokenizer: PreTrainedTokenizerFast, text: str, image_token_id: int) -> Prompt:
    messages = (Message("user", (text, ImageRef("a" * 64))), Message("assistant", ("Ja – 😀!",)))
    return render(
        TEMPLATES["llava_v0"],
        messages,
        tokenizer,
        num_patches=3,
        image_token_id=image_token_id,
        open_turn=False,
    )


def joined(tokenizer: PreTrainedTokenizerFast, prompt: Prompt) -> str:
    pieces = token_pieces(tokenizer, prompt.input_ids)
    assert len(pieces) == len(prompt.input_ids)
    return "".join(pieces)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(str.strip))
def test_joined_they_read_as_the_prompt(text: str) -> None:
    """But for white space at the borders of pictures, which a tokenizer may add or drop."""
    prompt = prompt_of(TINY, text, TINY.convert_tokens_to_ids("<image>"))
    shown = joined(TINY, prompt).removeprefix("<s>").replace("<image>" * 3, "<image>")
    assert "".join(shown.split()) == "".join(prompt.text.split())


def test_a_character_of_several_tokens_stands_at_the_last_of_them() -> None:
    ids = TINY("é", add_special_tokens=False)["input_ids"]
    pieces = token_pieces(TINY, ids)
    assert len(ids) > 2 and pieces[-1].strip() == "é" and not "".join(pieces[:-1]).strip()


def test_no_tokens_have_no_texts() -> None:
    assert token_pieces(TINY, []) == []


@pytest.mark.skipif(not LLAMA.is_dir(), reason="the shared folder with LLaMA's tokenizer is not here")
def test_llamas_own_tokenizer_reads_as_the_prompt_too() -> None:
    tokenizer = AutoTokenizer.from_pretrained(LLAMA)
    prompt = prompt_of(tokenizer, "Wie heißt das? 漢字\nthere", tokenizer.unk_token_id)
    shown = joined(tokenizer, prompt).removeprefix("<s>").replace("<unk>" * 3, "<image>")
    assert "".join(shown.split()) == "".join(prompt.text.split())
