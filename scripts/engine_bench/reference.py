"""The peer that everybody has: transformers' `LlavaForConditionalGeneration.generate`, one answer after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.generation.streamers import BaseStreamer
from transformers.models.llava.modeling_llava import LlavaForConditionalGeneration

from model.engine.request import GenerationRequest
from model.engine.token_text import TokenText
from model.pixels import pixel_values
from scripts.engine_bench.timed import Timed, now

if TYPE_CHECKING:
    from model.checkpoint import LoadedModel


class _Clock(BaseStreamer):  # type: ignore[misc]  # transformers' classes are Any to mypy
    """Notes when each token came; the prompt comes first and is not one."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._prompt_came = False

    def put(self, value: Any) -> None:
        if self._prompt_came:
            self.times.append(now())
        self._prompt_came = True

    def end(self) -> None:
        return


class Reference:
    """A second copy of the weights in transformers' own class, so that nothing of ours is on its way."""

    def __init__(self, folder: str, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self.model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=loaded.model.dtype)
        self.model.to(loaded.model.device).eval()

    @torch.inference_mode()
    def read(self, request: GenerationRequest) -> Timed:
        """The greedy answer, timed as an engine's is: preparing the pictures and decoding the text included."""
        started = now()
        clock = _Clock()
        images = [picture.image for picture in request.pictures]
        seen = {}
        if images:  # transformers takes a None for a picture
            pixels = pixel_values(images, self._loaded.pixels)
            seen["pixel_values"] = pixels.to(self.model.device, self.model.dtype)
        input_ids = torch.tensor([request.input_ids], device=self.model.device)  # [1, T]
        written = self.model.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            **seen,
            max_new_tokens=request.sampling.max_new_tokens,
            do_sample=False,
            streamer=clock,
        )
        ids = written[0, len(request.input_ids) :].tolist()
        token_text = TokenText(self._loaded.tokenizer)
        text = "".join([token_text.feed(token_id) for token_id in ids]) + token_text.rest()
        return Timed(started, tuple(clock.times), now(), text, len(ids))
