"""The libraries that people bring along work on the network as on any of transformers': bitsandbytes, accelerate."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn
from transformers import BitsAndBytesConfig

from conversations.messages import ImageRef, Message
from model.checkpoint import load
from model.llava import Llava
from model.pixels import pixel_values
from model.prompt import render
from scripts.demo_world.picture import draw
from scripts.demo_world.scene import sample_scene
from tests.model.test_llava import ids_for, pixels
from tests.model.tiny import tiny_llava

DEMO = Path(__file__).resolve().parents[2] / "model" / "demo"


def test_four_bit_weights_answer_and_the_projector_stays_as_it_was() -> None:
    """On the shipped model: the tiny one's 32 columns are less than one block of 4-bit weights."""
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        llm_int8_skip_modules=["model.multi_modal_projector", "model.vision_tower", "lm_head"],
    )
    model = Llava.from_pretrained(DEMO, quantization_config=settings, device_map="cpu")
    loaded = load(DEMO)
    question = Message("user", (ImageRef("0" * 64), "How many shapes are there?"))
    prompt = render(
        loaded.template,
        [question],
        loaded.tokenizer,
        num_patches=loaded.num_patches,
        image_token_id=loaded.image_token_id,
    )
    scene = sample_scene(7, num_things=1)
    written = model.generate(
        input_ids=torch.tensor([prompt.input_ids]),
        pixel_values=pixel_values([draw(scene, 240)], loaded.pixels),
        max_new_tokens=5,
        do_sample=False,
    )
    assert loaded.tokenizer.decode(written[0, -5:]) == " There is one shape."
    kinds = {type(layer).__name__ for layer in model.model.language_model.modules()}
    assert "Linear4bit" in kinds
    assert type(model.model.multi_modal_projector.linear_1) is nn.Linear


def test_accelerate_prepares_the_network_for_a_training_step() -> None:
    model, tokenizer = tiny_llava()
    accelerator = Accelerator(cpu=True)
    prepared, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    ids = ids_for(tokenizer)
    before = model.model.multi_modal_projector.linear_1.weight.clone()
    loss = prepared(input_ids=ids, pixel_values=pixels(), labels=ids).loss
    accelerator.backward(loss)
    optimizer.step()
    assert torch.isfinite(loss)
    assert not torch.equal(before, model.model.multi_modal_projector.linear_1.weight)
