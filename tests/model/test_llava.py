"""What stands at the image tokens, that unequal counts raise, and that transformers' tools work on it."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from transformers import PreTrainedTokenizerFast
from transformers.models.llama.modeling_llama import LlamaForCausalLM
from transformers.models.llava.configuration_llava import LlavaConfig
from transformers.models.llava.modeling_llava import LlavaForConditionalGeneration

from conversations.messages import ImageRef, Message
from conversations.template import TEMPLATES
from model.llava import ImageCountError, Llava
from model.pixels import PixelConfig, pixel_values
from model.projector import UnknownProjector
from model.prompt import render
from tests.model.tiny import tiny_llava

PICTURES = [Image.radial_gradient("L").convert("RGB"), Image.linear_gradient("L").convert("RGB")]


def pixels(number: int = 1) -> torch.Tensor:
    return pixel_values(PICTURES[:number], PixelConfig(size=32))


def ids_for(tokenizer: PreTrainedTokenizerFast, number: int = 1, text: str = "What is this?") -> torch.Tensor:
    pictures = tuple(ImageRef(str(index) * 64) for index in range(number))
    prompt = render(
        TEMPLATES["llava_v0"],
        [Message("user", (*pictures, text))],
        tokenizer,
        num_patches=16,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        system="",
    )
    return torch.tensor([prompt.input_ids])


@pytest.fixture(scope="module", params=["linear", "mlp2x_gelu"])
def parts(request: pytest.FixtureRequest) -> tuple[Llava, PreTrainedTokenizerFast]:
    return tiny_llava(projector_type=request.param)


@torch.no_grad()
def test_features_are_the_layer_before_the_last_without_the_class_token(parts) -> None:
    model, _ = parts
    tower = model.model.vision_tower
    layers = tower(pixels(2), output_hidden_states=True).hidden_states
    assert len(layers) == 4  # embeddings and three layers
    expected = model.model.multi_modal_projector(layers[-2][:, 1:])
    found = model.image_features(pixels(2))
    assert found.shape == (2, 16, 32)
    assert torch.allclose(found, expected, atol=1e-6)


@torch.no_grad()
def test_features_replace_the_image_tokens_embeddings_in_order(parts) -> None:
    model, tokenizer = parts
    ids = ids_for(tokenizer, 2)
    embeddings = model.get_input_embeddings()(ids)
    embeddings[ids == model.config.image_token_id] = model.image_features(pixels(2)).flatten(0, 1)
    by_hand = model(inputs_embeds=embeddings).logits
    assert torch.allclose(model(input_ids=ids, pixel_values=pixels(2)).logits, by_hand, atol=1e-5)


@torch.no_grad()
def test_the_picture_changes_the_answer(parts) -> None:
    model, tokenizer = parts
    ids = ids_for(tokenizer)
    one, other = (model(input_ids=ids, pixel_values=pixels(2)[index : index + 1]).logits for index in (0, 1))
    assert not torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(
    ("places", "pictures", "numbers"), [(1, 2, "16 .* 32 "), (2, 1, "32 .* 16 "), (1, 0, "16 .* 0 ")]
)
def test_unequal_counts_raise_and_name_both_numbers(parts, places: int, pictures: int, numbers: str) -> None:
    model, tokenizer = parts
    asked = {"input_ids": ids_for(tokenizer, places)}
    if pictures:
        asked["pixel_values"] = pixels(pictures)
    with pytest.raises(ImageCountError, match=numbers):
        model(**asked)
    with pytest.raises(ImageCountError, match=numbers):
        model.generate(**asked, max_new_tokens=2)


@torch.no_grad()
def test_generate_with_a_cache_gives_what_forward_gives_token_by_token(parts) -> None:
    model, tokenizer = parts
    ids = ids_for(tokenizer)
    whole = model.generate(input_ids=ids, pixel_values=pixels(), max_new_tokens=8, do_sample=False)
    slow = ids
    while slow.shape[1] < whole.shape[1]:
        best = model(input_ids=slow, pixel_values=pixels()).logits[:, -1:].argmax(-1)
        slow = torch.cat([slow, best], dim=1)
    assert whole.tolist() == slow.tolist()


@torch.no_grad()
def test_left_padding_in_a_batch_does_not_change_an_answer(parts) -> None:
    model, tokenizer = parts
    short, long = ids_for(tokenizer, text="Hi?"), ids_for(tokenizer, text="What is in this picture?")
    padding = long.shape[1] - short.shape[1]
    batch = torch.cat([torch.nn.functional.pad(short, (padding, 0), value=0), long])
    mask = torch.ones_like(batch)
    mask[0, :padding] = 0
    both = model.generate(
        input_ids=batch, attention_mask=mask, pixel_values=pixels(2), max_new_tokens=6, do_sample=False
    )
    alone = model.generate(input_ids=short, pixel_values=pixels(), max_new_tokens=6, do_sample=False)
    answered = both[0, long.shape[1] :].tolist()
    assert answered[: alone.shape[1] - short.shape[1]] == alone[0, short.shape[1] :].tolist()


def test_generate_asks_for_the_last_logits_only(parts) -> None:
    model, _ = parts
    assert model._supports_logits_to_keep()


@torch.no_grad()
def test_plain_transformers_reads_the_mlp_and_answers_the_same(tmp_path) -> None:
    model, tokenizer = tiny_llava(projector_type="mlp2x_gelu")
    model.save_pretrained(tmp_path)
    theirs = LlavaForConditionalGeneration.from_pretrained(tmp_path).eval()
    ids = ids_for(tokenizer, 2)
    asked = {"input_ids": ids, "pixel_values": pixels(2)}
    assert torch.allclose(model(**asked).logits, theirs(**asked).logits, atol=1e-5)
    greedy = {"max_new_tokens": 12, "do_sample": False}
    assert model.generate(**asked, **greedy).tolist() == theirs.generate(**asked, **greedy).tolist()


def test_parts_are_used_as_they_are_and_tied_embeddings_stay_tied() -> None:
    model, _ = tiny_llava(tied=True)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert not [name for name, weight in model.named_parameters() if weight.is_meta]
    assert model.config.tie_word_embeddings


def test_an_unknown_projector_is_refused() -> None:
    with pytest.raises(UnknownProjector, match="resampler"):
        tiny_llava(projector_type="resampler")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"template": "v9"}, "'v9'.*llava_v0"),
        ({"pixels": PixelConfig(size=64)}, "64.* 32"),
        ({"image_token_id": 100_000}, "100000.* 360"),
    ],
)
def test_parts_that_do_not_fit_are_refused_before_training(wrong: dict, named: str) -> None:
    model, _ = tiny_llava()
    language = LlamaForCausalLM(model.config.text_config)
    fitting = {"template": "llava_v0", "pixels": PixelConfig(size=32), "image_token_id": 360}
    with pytest.raises(ValueError, match=named):
        Llava.from_parts(model.model.vision_tower, language, projector_type="linear", **(fitting | wrong))


def test_a_config_without_our_key_means_transformers_own_mlp() -> None:
    model, _ = tiny_llava()
    values = model.config.to_dict()
    del values["projector_type"]
    assert Llava(LlavaConfig.from_dict(values)).model.multi_modal_projector.projector_type == "mlp2x_gelu"


def test_the_loss_reaches_projector_and_language_model_but_a_frozen_tower_stays() -> None:
    model, tokenizer = tiny_llava()
    model.train()
    model.model.vision_tower.requires_grad_(False)
    model.activation_checkpointing_enable()
    ids = ids_for(tokenizer)
    model(input_ids=ids, pixel_values=pixels(), labels=ids).loss.backward()
    assert model.model.multi_modal_projector.linear_1.weight.grad.abs().sum() > 0
    assert model.model.language_model.layers[0].self_attn.q_proj.weight.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in model.model.vision_tower.parameters())


@torch.no_grad()
def test_a_lora_adapter_goes_on_and_merges() -> None:
    from peft import LoraConfig, get_peft_model

    model, tokenizer = tiny_llava()
    ids = ids_for(tokenizer)
    before = model(input_ids=ids, pixel_values=pixels()).logits
    targets = r".*language_model.*\.(q_proj|v_proj)"
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=targets, init_lora_weights=False))
    with_adapter = adapted(input_ids=ids, pixel_values=pixels()).logits
    assert not torch.allclose(before, with_adapter, atol=1e-4)
    merged = adapted.merge_and_unload()
    assert torch.allclose(merged(input_ids=ids, pixel_values=pixels()).logits, with_adapter, atol=1e-4)
