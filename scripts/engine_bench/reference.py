"""The peer that everybody has: transformers' `LlavaForConditionalGeneration.generate`, one answer after another.

It has a process of its own, so that neither side's threads are on the other's way (apart.py).
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import torch
from transformers.generation.streamers import BaseStreamer
from transformers.models.llava.modeling_llava import LlavaForConditionalGeneration
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from model.engine.request import GenerationRequest
from model.engine.token_text import Decoder, TokenText
from model.pixels import PixelConfig, pixel_values
from scripts.engine_bench.timed import Timed, count_processor_time, counts_processor_time, now

if TYPE_CHECKING:
    from model.checkpoint import LoadedModel

LEAVE_SECONDS = 20


class ReferenceFailed(RuntimeError):
    """The peer's process ended."""


class Reference:
    """`generate` on a checkpoint, to be asked from here."""

    def __init__(self, folder: str, device: str) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._connection, other = spawning.Pipe()
        self._process = spawning.Process(
            target=_answer_all, args=(other, folder, device, counts_processor_time()), daemon=True
        )
        self._process.start()
        other.close()

    def read(self, request: GenerationRequest) -> Timed:
        """The greedy answer, timed as an engine's is: preparing the pictures and decoding the text included.

        Raises ReferenceFailed, and whatever `generate` raised.
        """
        try:
            self._connection.send(request)
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise ReferenceFailed(f"the process of `generate` ended: {error!r}") from error
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]  # pickled by _answer_all

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join(LEAVE_SECONDS)
        if self._process.is_alive():
            self._process.kill()


def transformers_model(folder: str, loaded: LoadedModel) -> LlavaForConditionalGeneration:
    """The checkpoint in transformers' own class, so that nothing of ours is on its way."""
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=loaded.model.dtype)
    return model.to(loaded.model.device).eval()


def _answer_all(connection: Connection, folder: str, device: str, processor_time: bool) -> None:
    """The process: requests come and answers go until the other end is closed."""
    from model import checkpoint

    disable_progress_bar()
    set_verbosity_error()
    if processor_time:
        count_processor_time()
    loaded = checkpoint.load(folder, device=device)
    model = transformers_model(folder, loaded)
    tokenizer, pixels = loaded.tokenizer, loaded.pixels
    del loaded  # its weights
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        try:
            connection.send(_generate(model, tokenizer, pixels, request))
        except Exception as error:  # noqa: BLE001 - the process's edge: told where it was asked
            connection.send(error)


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


@torch.inference_mode()
def _generate(
    model: LlavaForConditionalGeneration, tokenizer: Decoder, pixels: PixelConfig, request: GenerationRequest
) -> Timed:
    started = now()
    clock = _Clock()
    images = [picture.image for picture in request.pictures]
    seen = {}
    if images:  # transformers takes a None for a picture
        seen["pixel_values"] = pixel_values(images, pixels).to(model.device, model.dtype)
    input_ids = torch.tensor([request.input_ids], device=model.device)  # [1, T]
    written = model.generate(
        input_ids=input_ids,
        attention_mask=torch.ones_like(input_ids),
        **seen,
        max_new_tokens=request.sampling.max_new_tokens,
        do_sample=False,
        streamer=clock,
    )
    ids = written[0, len(request.input_ids) :].tolist()
    token_text = TokenText(tokenizer)
    text = "".join([token_text.feed(token_id) for token_id in ids]) + token_text.rest()
    return Timed(started, tuple(clock.times), now(), text, len(ids))
