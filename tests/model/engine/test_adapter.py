"""Adapters that PEFT wrote, served beside their base: never mixed, with prefixes and projectors of their own."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from model import checkpoint
from model.checkpoint import LoadedModel
from model.checkpoint.base_numbers import write_base
from model.engine.errors import AdapterError, UnknownAdapter
from model.engine.request import Finished, GenerationRequest
from model.engine.scheduler import ChunkSizes
from model.engine.slot_engine import SlotEngine
from tests.model.engine.asking import (
    GREEDY,
    LONG,
    all_events,
    answer,
    answers,
    ask,
    generated,
    missing_to_the_likeliest,
    numbered,
    picture,
    text_of,
    without_end,
)
from tests.model.tiny import write_tiny_checkpoint

LINEARS = r".*language_model.*(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
SHORT = replace(GREEDY, max_new_tokens=8)
DEMO = Path(__file__).resolve().parents[3] / "model" / "demo"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return checkpoint.load(write_tiny_checkpoint(tmp_path_factory.mktemp("tiny")), device="cpu")


@pytest.fixture
def engine(loaded: LoadedModel) -> Iterator[SlotEngine]:
    made = SlotEngine(numbered(loaded), chunk_sizes=ChunkSizes(alone=64, beside=7))
    yield made
    asyncio.run(made.close())


def write_adapter(folder: Path, loaded: LoadedModel, seed: int, **options: Any) -> Any:
    """A random adapter, saved by PEFT; gives the adapted model, to be asked by `generate`."""
    torch.manual_seed(seed)
    config = LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": LINEARS, **options})
    adapted = get_peft_model(copy.deepcopy(loaded.model), config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
            elif parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    adapted.save_pretrained(folder)
    return adapted.eval()


def requests_for(loaded: LoadedModel, model: str) -> list[GenerationRequest]:
    return [
        ask(loaded, "What is it?", picture("red"), sampling=SHORT, model=model),
        ask(loaded, "What is it?", sampling=SHORT, model=model),
        ask(loaded, "And now, what is it?", picture("blue"), picture("red"), sampling=SHORT, model=model),
    ]


def expected_of(loaded: LoadedModel, model: Any) -> list[str]:
    return [without_end(loaded, generated(loaded, request, model)) for request in requests_for(loaded, "")]


def test_base_and_adapters_answer_together_as_each_would_alone(
    engine: SlotEngine, loaded: LoadedModel, tmp_path: Path
) -> None:
    first = write_adapter(tmp_path / "a", loaded, 1)
    second = write_adapter(
        tmp_path / "b", loaded, 2, use_rslora=True, alpha_pattern={"q_proj": 3}, rank_pattern={"up_proj": 2}
    )
    asyncio.run(engine.load_adapter("a", tmp_path / "a"))
    asyncio.run(engine.load_adapter("b", tmp_path / "b"))
    assert engine.adapters == ("a", "b")
    models = {loaded.name: loaded.model, "a": first, "b": second}
    expected = {name: expected_of(loaded, model) for name, model in models.items()}
    assert len({tuple(texts) for texts in expected.values()}) == 3, "else the adapters change nothing"
    # Interleaved, so that every batch holds rows of all three.
    order = [(name, place) for place in range(3) for name in models]
    given = answers(engine, [requests_for(loaded, name)[place] for name, place in order])
    assert given == [expected[name][place] for name, place in order]
    # Once more, now from what each has remembered.
    given = answers(engine, [requests_for(loaded, name)[place] for name, place in reversed(order)])
    assert given == [expected[name][place] for name, place in reversed(order)]


def test_an_adapter_on_a_base_in_4_bits_answers_as_by_peft_but_for_rounding(tmp_path: Path) -> None:
    """The 4-bit kernels of some CPUs round to 16 bits; the adapter is small, lest that grow from layer to layer."""
    # The shipped model: the tiny one's rows are shorter than the blocks that bitsandbytes packs.
    base = checkpoint.load(DEMO, device="cpu", quantize="4bit")
    adapted = write_adapter(tmp_path, base, 1, lora_alpha=1)
    requests = [*requests_for(base, "a"), *requests_for(base, base.name)]
    served = SlotEngine(numbered(base), chunk_sizes=ChunkSizes(alone=64, beside=7))

    async def together() -> list[str]:
        await served.load_adapter("a", tmp_path)
        given = await asyncio.gather(*(all_events(served, request) for request in requests))
        await served.close()
        return [text_of(events) for events in given]

    for request, text in zip(requests, asyncio.run(together()), strict=True):
        mine, other = (adapted, base.model) if request.model == "a" else (base.model, adapted)
        assert missing_to_the_likeliest(base, request, text, mine) < 0.01
        assert missing_to_the_likeliest(base, request, text, other) > 0.04, "else the adapter changes nothing"


def test_prefixes_are_kept_per_adapter(engine: SlotEngine, loaded: LoadedModel, tmp_path: Path) -> None:
    write_adapter(tmp_path, loaded, 1)
    asyncio.run(engine.load_adapter("a", tmp_path))
    base, adapted = (ask(loaded, "What?", sampling=SHORT, model=name) for name in (loaded.name, "a"))
    answer(engine, base)
    answer(engine, adapted)
    assert engine.numbers().num_reused_tokens == 0
    answer(engine, adapted)
    assert engine.numbers().num_reused_tokens == len(adapted.input_ids) - 1


@pytest.mark.parametrize("where", ["modules_to_save", "projector.safetensors", "a low-rank change"])
def test_an_adapter_may_bring_its_own_projector(
    engine: SlotEngine, loaded: LoadedModel, tmp_path: Path, where: str
) -> None:
    if where == "a low-rank change":
        adapted = write_adapter(
            tmp_path, loaded, 1, target_modules=LINEARS + "|.*multi_modal_projector.linear_1"
        )
    else:
        adapted = write_adapter(tmp_path, loaded, 1, modules_to_save=["multi_modal_projector"])
    if where == "projector.safetensors":
        move_projector(tmp_path)
    expected = expected_of(loaded, adapted)
    base = expected_of(loaded, loaded.model)
    asyncio.run(engine.load_adapter("a", tmp_path))
    given = answers(engine, [*requests_for(loaded, "a"), *requests_for(loaded, loaded.name)])
    assert given == expected + base
    assert engine.numbers().num_pictures_encoded == 2, "the tower's output serves all projectors"


def move_projector(folder: Path) -> None:
    """As this project's trainer writes it: in a file of its own."""
    whole = load_file(folder / "adapter_model.safetensors")
    marked = {key: tensor for key, tensor in whole.items() if "multi_modal_projector" in key}
    assert marked
    rest = {key: tensor for key, tensor in whole.items() if key not in marked}
    save_file(rest, folder / "adapter_model.safetensors")
    save_file(
        {key.split("multi_modal_projector.")[1]: tensor for key, tensor in marked.items()},
        folder / "projector.safetensors",
    )


def test_an_unloaded_adapter_is_unknown_and_leaves_nothing_behind(
    engine: SlotEngine, loaded: LoadedModel, tmp_path: Path
) -> None:
    write_adapter(tmp_path, loaded, 1)
    asyncio.run(engine.load_adapter("a", tmp_path))
    answer(engine, ask(loaded, "Hi", sampling=SHORT, model="a"))
    assert engine.numbers().cache_bytes > 0
    asyncio.run(engine.unload_adapter("a"))
    with pytest.raises(UnknownAdapter, match=r"'a'.*none is loaded"):
        answer(engine, ask(loaded, "Hi", sampling=SHORT, model="a"))
    with pytest.raises(UnknownAdapter):
        asyncio.run(engine.unload_adapter("a"))
    answer(engine, ask(loaded, "Hi", sampling=SHORT))
    assert engine.numbers().num_reused_tokens == 0
    held = [slot for slot in engine._scheduler.table.slots if slot.held]
    assert [slot.key for slot in held] == [0]


def test_a_request_on_its_way_is_answered_with_the_adapter_it_asked_for(
    engine: SlotEngine, loaded: LoadedModel, tmp_path: Path
) -> None:
    adapted = write_adapter(tmp_path / "a", loaded, 1)
    write_adapter(tmp_path / "b", loaded, 2)
    request = ask(loaded, "Hi", sampling=replace(LONG, max_new_tokens=60), model="a")
    expected = without_end(loaded, generated(loaded, request, adapted))

    async def replaced_on_the_way() -> str:
        await engine.load_adapter("a", tmp_path / "a")
        running = asyncio.create_task(all_events(engine, request))
        while not engine.num_tokens_made:
            await asyncio.sleep(0.001)
        await engine.load_adapter("a", tmp_path / "b")
        await engine.unload_adapter("a")
        events = await running
        assert isinstance(events[-1], Finished)
        return "".join(getattr(event, "text", "") for event in events)

    assert asyncio.run(replaced_on_the_way()) == expected


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"target_modules": r".*vision_tower.*q_proj"}, "vision_tower.*merge the adapter"),
        ({"modules_to_save": ["lm_head"]}, "lm_head.*merge the adapter"),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_remedy(
    engine: SlotEngine, loaded: LoadedModel, tmp_path: Path, options: dict[str, Any], match: str
) -> None:
    write_adapter(tmp_path, loaded, 1, **options)
    with pytest.raises(AdapterError, match=match):
        asyncio.run(engine.load_adapter("a", tmp_path))
    assert engine.adapters == ()
    assert answer(engine, ask(loaded, "Hi", sampling=SHORT))


def test_what_is_no_adapter_for_this_model_is_refused_by_its_file(
    engine: SlotEngine, loaded: LoadedModel, tmp_path: Path
) -> None:
    with pytest.raises(AdapterError, match=r"adapter_config\.json"):
        asyncio.run(engine.load_adapter("a", tmp_path))
    write_adapter(tmp_path, loaded, 1)
    path = tmp_path / "adapter_model.safetensors"
    tensors = load_file(path)
    key = next(key for key in tensors if "down_proj.lora_A" in key)
    save_file({**tensors, key: torch.zeros(4, 5)}, path)
    with pytest.raises(
        AdapterError, match=r"adapter_model\.safetensors was made for another base.*down_proj"
    ):
        asyncio.run(engine.load_adapter("a", tmp_path))
    save_file(tensors, path)
    save_file({"linear_1.weight": torch.zeros(3, 3)}, tmp_path / "projector.safetensors")
    with pytest.raises(AdapterError, match=r"projector\.safetensors was made for another base"):
        asyncio.run(engine.load_adapter("a", tmp_path))
    with pytest.raises(AdapterError, match="base model's name"):
        asyncio.run(engine.load_adapter(loaded.name, tmp_path))


def test_an_adapter_that_was_made_on_another_model_is_refused(
    engine: SlotEngine, loaded: LoadedModel, tmp_path: Path
) -> None:
    write_adapter(tmp_path, loaded, 1)
    write_base(tmp_path, loaded.base_numbers)
    asyncio.run(engine.load_adapter("a", tmp_path))
    other = checkpoint.load(write_tiny_checkpoint(tmp_path / "other", seed=3), device="cpu")
    write_base(tmp_path, other.base_numbers)
    with pytest.raises(AdapterError, match=r"was made for another base.*embed_tokens"):
        asyncio.run(engine.load_adapter("b", tmp_path))


def test_llavas_own_file_of_a_projector_is_read_too_and_ours_goes_before_it(
    engine: SlotEngine, loaded: LoadedModel, tmp_path: Path
) -> None:
    adapted = write_adapter(tmp_path, loaded, 1, modules_to_save=["multi_modal_projector"])
    expected = expected_of(loaded, adapted)
    move_projector(tmp_path)
    ours = load_file(tmp_path / "projector.safetensors")
    theirs = {
        f"model.mm_projector.{'0' if '1' in name else '2'}.{name[9:]}": each for name, each in ours.items()
    }
    torch.save(theirs, tmp_path / "non_lora_trainables.bin")
    (tmp_path / "projector.safetensors").unlink()
    asyncio.run(engine.load_adapter("a", tmp_path))
    assert answers(engine, requests_for(loaded, "a")) == expected
    torch.save({key: each * 0 for key, each in theirs.items()}, tmp_path / "non_lora_trainables.bin")
    save_file(ours, tmp_path / "projector.safetensors")
    asyncio.run(engine.load_adapter("b", tmp_path))
    assert answers(engine, requests_for(loaded, "b")) == expected
