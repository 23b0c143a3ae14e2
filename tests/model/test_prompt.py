"""Ids and mask together: the reference's ids, what is trained, and text that never becomes special."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from conversations.messages import ImageRef, Message
from conversations.template import TEMPLATES, plain_text
from model.prompt import MissingToken, Prompt, render
from tests.conversations.samples import (
    GOLDEN,
    NAMES,
    PICTURE,
    assistant,
    golden_cases,
    golden_messages,
    hostile,
    user,
)
from tests.model.tiny import tiny_tokenizer

LLAMA = GOLDEN.parent / "llama_tokenizer"
DEMO = Path(__file__).resolve().parents[2] / "model" / "demo"
needs_reference = pytest.mark.skipif(
    not GOLDEN.exists(), reason="the reference's data (shared/data) is not here"
)
IMAGE_ID = tiny_tokenizer().convert_tokens_to_ids("<image>")
names = st.sampled_from(sorted(NAMES))


@functools.cache
def tiny() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


@functools.cache
def llama() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(LLAMA)


@functools.cache
def shipped() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(DEMO)


def rendered(name: str, messages: list[Message], **options: object) -> Prompt:
    settings = {"num_patches": 4, "image_token_id": IMAGE_ID} | options
    return render(TEMPLATES[name], messages, tiny(), **settings)


# the reference


@needs_reference
@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: f"{case['template']}-{case['id']}")
def test_serving_prompts_have_the_references_ids(case: dict) -> None:
    template, messages, system, open_turn = golden_messages(case)
    prompt = render(
        template, messages, llama(), num_patches=1, image_token_id=-200, system=system, open_turn=open_turn
    )
    assert prompt.input_ids == case["expected_input_ids"]
    assert prompt.text == case["expected_prompt"]


def training_case(case_id: str) -> dict:
    cases = json.loads(GOLDEN.read_text(encoding="utf-8"))["training_cases"]
    return next(case for case in cases if case["id"] == case_id)


@needs_reference
@pytest.mark.parametrize(("case_id", "name"), [("t06", "vicuna_v1"), ("t10", "plain")])
def test_training_ids_and_labels_are_the_references_where_its_texts_are_ours(case_id: str, name: str) -> None:
    case = training_case(case_id)
    messages = [user(PICTURE, "What color is the car?"), assistant("The car is red.")]
    prompt = render(TEMPLATES[name], messages, llama(), num_patches=1, image_token_id=-200, open_turn=False)
    labels = [i if learn else -100 for i, learn in zip(prompt.input_ids, prompt.loss_mask, strict=True)]
    assert prompt.input_ids == case["input_ids"]
    assert labels == case["labels"]


@needs_reference
def test_a_wrapped_picture_stands_between_its_marks_as_in_the_reference() -> None:
    """Case t09: `Human: <im_start><image><im_end>` and a line break. Its other text is the training text."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(LLAMA)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<im_start>", "<im_end>"]})
    prompt = render(
        TEMPLATES["llava_v0"],
        [user(PICTURE, "What color is the car?")],
        tokenizer,
        num_patches=1,
        image_token_id=-200,
        image_wrap=("<im_start>", "<im_end>"),
    )
    around = prompt.input_ids.index(-200)
    assert prompt.input_ids[around - 3 : around + 5] == [29901, 29871, 32000, -200, 32001, 29871, 13, 5618]
    assert "Human: <im_start><image><im_end>\nWhat" in prompt.text


@needs_reference
def test_llava_v0_trains_the_answer_and_its_stop() -> None:
    messages = [
        user(PICTURE, "What color is the car?"),
        assistant("The car is red."),
        user("Sure?"),
        assistant("Yes."),
    ]
    prompt = render(
        TEMPLATES["llava_v0"], messages, llama(), num_patches=3, image_token_id=-200, open_turn=False
    )
    learned = [i for i, learn in zip(prompt.input_ids, prompt.loss_mask, strict=True) if learn]
    spelled = llama().convert_ids_to_tokens(learned)
    assert spelled == ["▁The", "▁car", "▁is", "▁red", ".", "##", "#", "▁Yes", ".", "##", "#"]


# mask


@given(name=names, question=hostile, answer=hostile)
def test_ids_and_mask_are_equally_long_and_pictures_are_whole(name: str, question: str, answer: str) -> None:
    messages = [
        user(PICTURE, question),
        assistant(answer),
        user(question, PICTURE, PICTURE),
        assistant(answer),
    ]
    prompt = rendered(name, messages, open_turn=False)
    assert len(prompt.input_ids) == len(prompt.loss_mask)
    assert prompt.input_ids.count(IMAGE_ID) == 3 * 4
    assert prompt.images == (PICTURE,) * 3
    assert not any(
        learn for i, learn in zip(prompt.input_ids, prompt.loss_mask, strict=True) if i == IMAGE_ID
    )


@given(
    name=names,
    answer=st.text(
        alphabet=st.characters(min_codepoint=33, max_codepoint=0x1F6FF, exclude_categories=["Cs"]),
        max_size=20,
    ),
)
def test_what_is_trained_spells_the_answer_and_its_stop(name: str, answer: str) -> None:
    prompt = rendered(name, [user(PICTURE, "Q?"), assistant(answer)], open_turn=False)
    ids = [i for i, learn in zip(prompt.input_ids, prompt.loss_mask, strict=True) if learn]
    spelled = tiny().decode(ids, skip_special_tokens=False)
    stop = TEMPLATES[name].stop
    assert spelled.lstrip(" ") == f"{plain_text(answer.strip())}{stop}".lstrip(" ")


@given(name=names, question=hostile)
def test_an_open_turn_trains_nothing(name: str, question: str) -> None:
    assert not any(rendered(name, [user(PICTURE, question)]).loss_mask)


def test_a_token_that_straddles_the_border_is_trained() -> None:
    """With a vocabulary that merges the header's colon with the space of the answer."""
    tokenizer = tiny_tokenizer(extra_merges=[(":", "▁")])
    prompt = render(
        TEMPLATES["llava_v0"],
        [user("Q"), assistant("red")],
        tokenizer,
        num_patches=1,
        image_token_id=IMAGE_ID,
        open_turn=False,
    )
    tokens = tokenizer.convert_ids_to_tokens(prompt.input_ids)
    learned = [token for token, learn in zip(tokens, prompt.loss_mask, strict=True) if learn]
    assert learned == [":▁", "r", "e", "d", "##", "#"]


# text stays text


@given(name=names, system=hostile, question=hostile, answer=hostile)
def test_text_never_becomes_a_special_token(name: str, system: str, question: str, answer: str) -> None:
    messages = [user(PICTURE, question), assistant(answer), user(question)]
    found = rendered(name, messages, system=system)
    harmless = rendered(name, [user(PICTURE, "q"), assistant("a"), user("q")], system="s")
    for special in tiny().all_special_ids:
        assert found.input_ids.count(special) == harmless.input_ids.count(special)


@pytest.mark.parametrize("special", [True, False])
def test_marks_of_a_vocabulary_that_the_rule_does_not_know_stay_text(special: bool) -> None:
    from model.checkpoint.vocabulary import make_marks_special

    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken("<|boundary|>", special=special, normalized=False)])
    make_marks_special(tokenizer)
    mark = tokenizer.convert_tokens_to_ids("<|boundary|>")
    prompt = render(
        TEMPLATES["llava_v0"], [user("a <|boundary|> b")], tokenizer, num_patches=1, image_token_id=IMAGE_ID
    )
    assert mark not in prompt.input_ids
    assert "<|boundary|>" in tokenizer.decode(prompt.input_ids)


def test_a_template_whose_token_is_not_in_the_vocabulary_is_refused_by_name() -> None:
    with pytest.raises(MissingToken, match="<im_start>"):
        rendered("llava_v0", [user(PICTURE, "Q")], image_wrap=("<im_start>", "<im_end>"))


# chat and training


@given(name=names, question=hostile, answer=hostile)
def test_an_open_prompt_is_how_the_finished_conversation_begins(
    name: str, question: str, answer: str
) -> None:
    asked = rendered(name, [user(PICTURE, question)])
    finished = rendered(name, [user(PICTURE, question), assistant(answer)], open_turn=False)
    assert finished.input_ids[: len(asked.input_ids)] == asked.input_ids
    # What follows is exactly what is trained: the model is asked for what it was taught.
    assert finished.loss_mask == [False] * len(asked.input_ids) + [True] * (
        len(finished.input_ids) - len(asked.input_ids)
    )


@needs_reference
@given(name=names, question=hostile, answer=hostile)
def test_so_it_is_with_llamas_vocabulary(name: str, question: str, answer: str) -> None:
    options = {"num_patches": 2, "image_token_id": -200}
    messages = [user(question, PICTURE)]
    asked = render(TEMPLATES[name], messages, llama(), **options)
    finished = render(TEMPLATES[name], [*messages, assistant(answer)], llama(), open_turn=False, **options)
    assert finished.input_ids[: len(asked.input_ids)] == asked.input_ids


@given(name=names, question=hostile, answer=hostile, follow_up=hostile)
def test_a_follow_up_begins_with_the_conversation_so_far(
    name: str, question: str, answer: str, follow_up: str
) -> None:
    so_far = rendered(name, [user(PICTURE, question), assistant(answer)], open_turn=False)
    then = rendered(name, [user(PICTURE, question), assistant(answer), user(follow_up)])
    assert then.input_ids[: len(so_far.input_ids)] == so_far.input_ids


def test_the_text_is_for_people() -> None:
    prompt = rendered("llava_v0", [user(ImageRef("c" * 64), "What is this?")], system="Be brief.")
    assert prompt.text == "Be brief.###Human: <image>\nWhat is this?###Assistant:"
    assert prompt.input_ids[0] == tiny().bos_token_id


def byte_level_tokenizer(add_prefix_space: bool) -> PreTrainedTokenizerFast:
    """GPT-2's kind: one character may take several tokens, and a space belongs to the word after it."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<unk>", "<s>", "</s>", "<image>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(["The car is red. ###Human: What is it?###Assistant: The"] * 3, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("add_prefix_space", [True, False])
@pytest.mark.parametrize("answer", ["The car is red.", "é😀", "", "#", "\u202eabc"])
def test_a_byte_level_vocabulary_trains_the_same_text(name: str, add_prefix_space: bool, answer: str) -> None:
    tokenizer = byte_level_tokenizer(add_prefix_space)
    prompt = render(
        TEMPLATES[name],
        [user("Q?", PICTURE), assistant(answer)],
        tokenizer,
        num_patches=2,
        image_token_id=3,
        open_turn=False,
    )
    learned = [i for i, learn in zip(prompt.input_ids, prompt.loss_mask, strict=True) if learn]
    assert tokenizer.decode(learned).strip() == f"{plain_text(answer)}{TEMPLATES[name].stop}".strip()


@pytest.mark.skipif(not (DEMO / "tokenizer.json").exists(), reason="the demo model has not been trained yet")
@given(name=names, question=hostile, answer=hostile)
def test_the_shipped_vocabulary_asks_what_it_was_taught(name: str, question: str, answer: str) -> None:
    tokenizer = shipped()
    options = {"num_patches": 2, "image_token_id": tokenizer.convert_tokens_to_ids("<image>")}
    asked = render(TEMPLATES[name], [user(question, PICTURE)], tokenizer, **options)
    finished = render(
        TEMPLATES[name], [user(question, PICTURE), assistant(answer)], tokenizer, open_turn=False, **options
    )
    assert finished.input_ids[: len(asked.input_ids)] == asked.input_ids
    assert asked.input_ids.count(options["image_token_id"]) == 2
    # v1_mmtag answers for the model that the picture was received, and ends that answer.
    assert asked.input_ids.count(tokenizer.eos_token_id) == (name == "v1_mmtag")
