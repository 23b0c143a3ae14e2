"""Greedy tokens are those of transformers' own `generate`, whatever else runs and whatever was remembered."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from model import checkpoint
from model.checkpoint import LoadedModel, UnsupportedCheckpoint
from model.engine.network import Network
from model.engine.request import GenerationRequest
from model.engine.scheduler import ChunkSizes
from model.engine.slot_engine import SlotEngine
from model.llava import Llava
from tests.model.engine.asking import (
    GREEDY,
    Talk,
    all_events,
    answer,
    answers,
    ask,
    asked,
    conversations,
    generated,
    missing_to_the_likeliest,
    numbered,
    picture,
    text_of,
    without_end,
)
from tests.model.tiny import write_tiny_checkpoint

NUM_CONVERSATIONS = 64
DEMO = Path(__file__).resolve().parents[3] / "model" / "demo"
SHORT = replace(GREEDY, max_new_tokens=8)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return checkpoint.load(write_tiny_checkpoint(tmp_path_factory.mktemp("tiny")), device="cpu")


@pytest.fixture(scope="module")
def talks() -> list[Talk]:
    return conversations(NUM_CONVERSATIONS)


@pytest.fixture(scope="module")
def requests(loaded: LoadedModel, talks: list[Talk]) -> list[GenerationRequest]:
    return [asked(loaded, talk.turns, talk.pictures, SHORT) for talk in talks]


@pytest.fixture(scope="module")
def expected(loaded: LoadedModel, requests: list[GenerationRequest]) -> list[str]:
    return [without_end(loaded, generated(loaded, request)) for request in requests]


def with_engine(loaded: LoadedModel, use: Callable[[SlotEngine], Any], **options: Any) -> Any:
    engine = SlotEngine(numbered(loaded), **options)
    try:
        return use(engine)
    finally:
        asyncio.run(engine.close())


def test_the_conversations_are_of_all_kinds(talks: list[Talk], expected: list[str]) -> None:
    assert len(talks) == NUM_CONVERSATIONS
    num_questions = Counter(talk.num_questions for talk in talks)
    assert set(num_questions) == {1, 2, 3, 4, 5, 6} and min(num_questions.values()) >= 10
    num_pictures = Counter(len(talk.pictures) for talk in talks)
    assert set(num_pictures) == {0, 1, 2, 3} and min(num_pictures.values()) >= 8 and num_pictures[0] >= 20
    without = {talk.num_questions for talk in talks if not talk.pictures}
    assert without == {1, 2, 3, 4, 5, 6}, "those without pictures are of every length, too"
    assert len(set(expected)) > NUM_CONVERSATIONS / 2, "else equal answers would prove little"


def test_alone_one_after_another(
    loaded: LoadedModel, requests: list[GenerationRequest], expected: list[str]
) -> None:
    def one_by_one(engine: SlotEngine) -> list[str]:
        given = [answer(engine, request) for request in requests]
        numbers = engine.numbers()
        assert numbers.num_reused_tokens > numbers.num_prompt_tokens / 4, "prefixes were hardly reused"
        assert numbers.num_pictures_encoded == 4, "each picture is encoded once"
        return given

    assert with_engine(loaded, one_by_one) == expected


@pytest.mark.parametrize("seed", [1, 2])
def test_all_at_once_in_any_order(
    loaded: LoadedModel, requests: list[GenerationRequest], expected: list[str], seed: int
) -> None:
    chance = random.Random(seed)
    order = chance.sample(range(len(requests)), len(requests))

    async def arriving(engine: SlotEngine, place: int) -> str:
        await asyncio.sleep(chance.random() * 0.5)
        return text_of(await all_events(engine, requests[place]))

    async def all_of_them(engine: SlotEngine) -> list[str]:
        given = await asyncio.gather(*(arriving(engine, place) for place in order))
        return [text for _, text in sorted(zip(order, given, strict=True))]

    # Chunks of odd sizes cut pictures and turns anywhere; a small cache makes prefixes come and go.
    given = with_engine(
        loaded,
        lambda engine: asyncio.run(all_of_them(engine)),
        num_slots=8,
        chunk_sizes=ChunkSizes(alone=37, beside=5),
        cache_bytes=2_000 * 256 * seed,
    )
    assert given == expected


KINDS: dict[str, tuple[Any, Any]] = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
}
OF_THE_TINY_ONE = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "max_position_embeddings", "bos_token_id", "eos_token_id", "initializer_range",
)  # fmt: skip


def with_language(loaded: LoadedModel, kind: str = "llama", **options: Any) -> LoadedModel:
    """The same tower with another random language model."""
    torch.manual_seed(3)
    text = loaded.model.config.text_config
    config, language = KINDS[kind]
    sizes = {name: getattr(text, name) for name in OF_THE_TINY_ONE}
    made = language(config(**{**sizes, **options}))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.3)  # they begin as zeros, which would hide that one is left out
    model = Llava.from_parts(
        loaded.model.model.vision_tower,
        made,
        projector_type="linear",
        image_token_id=loaded.image_token_id,
        template="llava_v0",
        pixels=loaded.pixels,
    )
    return replace(loaded, model=model.eval())


def scaled(rope_type: str, **options: Any) -> dict[str, Any]:
    """Positions scaled for a context four times as long as the one that it was trained on, of 128 tokens."""
    parameters = {"rope_type": rope_type, "rope_theta": 500.0, "factor": 4.0, **options}
    return {"rope_parameters": {**parameters, "original_max_position_embeddings": 128}}


def requests_of_all_kinds(loaded: LoadedModel) -> list[GenerationRequest]:
    return [
        ask(loaded, "What is it?", picture("red"), picture("blue"), sampling=SHORT),
        ask(loaded, "Hi", sampling=SHORT),
        ask(loaded, "What is it?", picture("red"), sampling=SHORT),
    ]


def test_positions_that_change_with_the_length_are_refused(loaded: LoadedModel) -> None:
    factors = [1.0] * (loaded.model.config.text_config.head_dim // 2)
    other = with_language(loaded, **scaled("longrope", short_factor=factors, long_factor=factors))
    with pytest.raises(UnsupportedCheckpoint, match="longrope"):
        Network(other.model, 256)


@pytest.mark.parametrize(
    "options",
    [
        {"num_key_value_heads": 4},
        {"num_key_value_heads": 1},
        {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8},
        {"attention_bias": True, "mlp_bias": True},
        {"tie_word_embeddings": True},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}},
        scaled("llama3", low_freq_factor=1.0, high_freq_factor=4.0),
        scaled("yarn"),
        {"kind": "mistral", "sliding_window": None},
        {"kind": "mistral", "sliding_window": None, "head_dim": 16},
        {"kind": "qwen2"},
        {"kind": "qwen2", "tie_word_embeddings": True, "use_sliding_window": False, "sliding_window": 64},
    ],
    ids=[
        "equal heads", "one key-value head", "odd head size", "biases", "tied head", "scaled positions",
        "llama3's positions", "yarn's positions", "mistral", "mistral with large heads", "qwen2", "qwen2, tied head",
    ],
)  # fmt: skip
def test_every_kind_of_llama(loaded: LoadedModel, options: dict[str, Any]) -> None:
    other = with_language(loaded, **options)
    requests = requests_of_all_kinds(other)
    expected = [without_end(other, generated(other, request)) for request in requests]
    assert with_engine(other, lambda engine: answers(engine, requests)) == expected
    small = ChunkSizes(alone=7, beside=3)
    assert with_engine(other, lambda engine: answers(engine, requests), chunk_sizes=small) == expected


def test_in_16_bits_every_token_is_the_likeliest_but_for_rounding(loaded: LoadedModel) -> None:
    other = with_language(loaded)
    other = replace(other, model=other.model.to(torch.bfloat16))
    requests = requests_of_all_kinds(other)
    small = ChunkSizes(alone=7, beside=3)
    given = with_engine(other, lambda engine: answers(engine, requests), chunk_sizes=small)
    for request, text in zip(requests, given, strict=True):
        assert text.count(",") == SHORT.max_new_tokens
        assert missing_to_the_likeliest(other, request, text) < 0.02


@pytest.mark.parametrize("quantize", ["4bit", "8bit"])
def test_quantised_layers_are_used_as_they_are(quantize: str) -> None:
    # The shipped model: the tiny one's rows are shorter than the blocks that bitsandbytes packs.
    loaded = checkpoint.load(DEMO, device="cpu", quantize=quantize)
    request = ask(loaded, "What is it?", picture("red"), sampling=SHORT)
    expected = without_end(loaded, generated(loaded, request))
    assert with_engine(loaded, lambda engine: answer(engine, request)) == expected


def test_an_engine_may_take_the_weights_apart(tmp_path: Path) -> None:
    loaded = checkpoint.load(write_tiny_checkpoint(tmp_path / "tiny"), device="cpu")
    request = ask(loaded, "What is it?", picture("red"), sampling=SHORT)
    expected = without_end(loaded, generated(loaded, request))
    assert with_engine(loaded, lambda engine: answer(engine, request), take_weights=True) == expected
    layer = loaded.model.model.language_model.layers[0]
    assert layer.mlp.up_proj.weight.numel() == 0, "the weights are kept once, not twice"
