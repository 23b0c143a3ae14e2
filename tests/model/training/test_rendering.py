"""How examples are rendered for a run: chat's way, cut to the context by whole exchanges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.examples import Example
from conversations.messages import ImageRef, Message
from conversations.template import TEMPLATES
from model.training.config import DataSource, TrainingConfig
from model.training.rendering import Rendering, with_drawn_order
from tests.model.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
PICTURE = ImageRef("a" * 64)
PATCHES = 16
CONFIG = TrainingConfig("lora", "model", (DataSource("train.json"),))

texts = st.text(max_size=30)
exchanges = st.lists(st.tuples(texts, texts), min_size=1, max_size=4)


def rendering(template: str = "llava_v1", context_tokens: int = 2048) -> Rendering:
    image_token_id = TOKENIZER.convert_tokens_to_ids("<image>")
    return Rendering(TEMPLATES[template], TOKENIZER, PATCHES, image_token_id, context_tokens)


def example_of(pairs: list[tuple[str, str]], *, picture: bool) -> Example:
    messages = []
    for number, (question, answer) in enumerate(pairs):
        parts = (PICTURE, question) if picture and number == 0 else (question,)
        messages += [Message("user", parts), Message("assistant", (answer,))]
    return Example("1", tuple(messages))


@given(exchanges, st.booleans(), st.sampled_from(["llava_v0", "llava_v1", "v0_mmtag"]))
def test_what_is_trained_is_what_answering_goes_on_with(
    pairs: list[tuple[str, str]], picture: bool, template: str
) -> None:
    """Up to each answer, a sample is token for token what chat asks the model with; there, learning begins."""
    used, example = rendering(template), example_of(pairs, picture=picture)
    whole = used.prompt(example)
    asked = used.prompt(Example("1", example.messages[:-1]), open_turn=True)
    shared = next(
        (
            place
            for place, (one, other) in enumerate(zip(whole.input_ids, asked.input_ids, strict=False))
            if one != other
        ),
        min(len(whole.input_ids), len(asked.input_ids)),
    )
    # The last word of the role's header may be one token with the answer's first character.
    assert shared >= len(asked.input_ids) - 2
    assert not any(
        whole.loss_mask[place] for place, id_ in enumerate(whole.input_ids) if id_ == used.image_token_id
    )
    assert whole.input_ids.count(used.image_token_id) == PATCHES * picture


@given(exchanges, st.booleans(), st.integers(30, 400))
def test_a_sample_that_fits_is_the_longest_beginning_that_does(
    pairs: list[tuple[str, str]], picture: bool, room: int
) -> None:
    used, example = rendering(context_tokens=room), example_of(pairs, picture=picture)
    fitted = used.fitting(example)
    lengths = [
        len(used.prompt(Example("1", example.messages[: 2 * number])).input_ids)
        for number in range(1, len(pairs) + 1)
    ]
    number = sum(length <= room for length in lengths)
    assert (fitted is None) == (number == 0)
    if fitted is not None:
        shortened, prompt = fitted
        assert shortened.messages == example.messages[: 2 * number]
        assert len(prompt.input_ids) == lengths[number - 1] <= room


@pytest.mark.parametrize(
    ("recipe", "asked", "template"),
    [
        ("lora", None, "llava_v0"),
        ("align", None, "plain"),
        ("align", "llava_v1", "llava_v1"),
        ("finetune", "plain", "plain"),
    ],
)
def test_the_template_is_the_models_unless_the_run_has_its_own(
    recipe: str, asked: str, template: str
) -> None:
    config = CONFIG.changed(recipe=recipe, template=asked, max_tokens=100)
    used = rendering("llava_v0").for_run(config)
    assert (used.template.name, used.context_tokens) == (template, 100)
    assert rendering(context_tokens=50).for_run(config).context_tokens == 50


def test_the_pictures_side_of_the_question_is_drawn_by_the_seed() -> None:
    example = example_of([("What?", "A cat."), ("And?", "A dog.")], picture=True)
    drawn = {with_drawn_order(example, str(seed)).messages[0].content for seed in range(20)}
    assert drawn == {(PICTURE, "What?"), ("What?", PICTURE)}
    assert with_drawn_order(example, "3") == with_drawn_order(example, "3")
    assert with_drawn_order(example, "3").messages[1:] == example.messages[1:]
    plain = example_of([("What?", "A cat.")], picture=False)
    assert with_drawn_order(plain, "3") == plain
