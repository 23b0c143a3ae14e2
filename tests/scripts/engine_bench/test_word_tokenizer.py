"""With the random model's tokenizer an answer that is read back is the very tokens that were drawn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conversations.messages import ImageRef, Message
from conversations.template import TEMPLATES
from model.engine.token_text import TokenText
from model.prompt import render
from scripts.engine_bench.word_tokenizer import num_silent, word_tokenizer

SIZE = 400
TOKENIZER = word_tokenizer(SIZE)


@given(st.lists(st.integers(num_silent(), SIZE - 1), min_size=1, max_size=20))
def test_an_answer_comes_back_as_its_own_tokens(ids: list[int]) -> None:
    token_text = TokenText(TOKENIZER)
    answer = "".join([token_text.feed(token_id) for token_id in ids]) + token_text.rest()
    messages = [Message("user", ("bada",)), Message("assistant", (answer,)), Message("user", ("bada",))]
    prompt = render(
        TEMPLATES["llava_v0"], messages, TOKENIZER, num_patches=1, image_token_id=2, system="badu"
    )
    first = render(
        TEMPLATES["llava_v0"], messages[:1], TOKENIZER, num_patches=1, image_token_id=2, system="badu"
    )
    begin = len(first.input_ids)
    assert prompt.input_ids[:begin] == first.input_ids
    assert prompt.input_ids[begin : begin + len(ids)] == ids


def test_the_template_is_spelled_without_unknown_tokens() -> None:
    question = Message("user", (ImageRef("0" * 64), "bada badu"))
    prompt = render(
        TEMPLATES["llava_v0"], [question], TOKENIZER, num_patches=4, image_token_id=2, system="badu"
    )
    assert TOKENIZER.unk_token_id not in prompt.input_ids


def test_it_has_just_so_many_ids_and_no_end_of_sequence() -> None:
    assert len(TOKENIZER) == SIZE
    assert TOKENIZER.eos_token_id is None
