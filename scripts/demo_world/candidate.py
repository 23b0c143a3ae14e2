"""The one who sits the examination: a loaded checkpoint that answers greedily, many questions at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from model.checkpoint import LoadedModel
from model.pixels import pixel_values
from model.prompt import render
from scripts.demo_world.examination import Question
from scripts.demo_world.picture import draw

PICTURE_SIZE = 240  # larger than the tower's own, so that pictures take the same way in as a person's


def answer_all(loaded: LoadedModel, asked: Sequence[Question], *, batch_size: int = 48) -> list[str]:
    """The answers in the order of the questions, cut at the template's stop."""
    order = sorted(
        range(len(asked)), key=lambda index: (asked[index].scene is None, asked[index].kind == "describe")
    )
    answers = [""] * len(asked)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        with_picture = [index for index in chosen if asked[index].scene is not None]
        without = [index for index in chosen if asked[index].scene is None]
        for group in (with_picture, without):
            if group:
                for index, answer in zip(group, _answer(loaded, [asked[i] for i in group]), strict=True):
                    answers[index] = answer
    return answers


@torch.inference_mode()
def _answer(loaded: LoadedModel, asked: Sequence[Question]) -> list[str]:
    tokenizer, model = loaded.tokenizer, loaded.model
    prompts = [
        render(
            loaded.template, question.messages(), tokenizer, num_patches=loaded.num_patches,
            image_token_id=loaded.image_token_id, image_wrap=loaded.image_wrap,
        ).input_ids
        for question in asked
    ]  # fmt: skip
    longest = max(map(len, prompts))
    pad = tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt in prompts])
    attention = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    scenes = [question.scene for question in asked if question.scene is not None]
    pictures = {}  # `generate` encodes pictures whenever the key is there, even when it holds None
    if scenes:
        pixels = pixel_values([draw(scene, PICTURE_SIZE) for scene in scenes], loaded.pixels)
        pictures["pixel_values"] = pixels.to(model.device, model.dtype)
    written = model.generate(
        input_ids=ids.to(model.device), attention_mask=attention.to(model.device),
        **pictures, max_new_tokens=96, do_sample=False, pad_token_id=pad,
        stop_strings=["###"], tokenizer=tokenizer,
    )  # fmt: skip
    texts = tokenizer.batch_decode(written[:, longest:], skip_special_tokens=True)
    return [text.split("###")[0].strip() for text in texts]
