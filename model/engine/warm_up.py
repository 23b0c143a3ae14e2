"""One short answer about one small picture before the model is called ready.

The first pass through a network costs more than all later ones: kernels are chosen, memory is taken, threads begin. It
also shows, before anybody asks, whether the model can answer at all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from PIL import Image

from conversations.messages import ImageRef, Message
from model.engine.errors import PromptTooLong
from model.engine.request import Engine, GenerationRequest, Picture, SamplingSettings
from model.prompt import render

if TYPE_CHECKING:
    from model.checkpoint import LoadedModel

_log = logging.getLogger(__name__)
_SIDE = 32  # pixels; the model's own size is made of it like of any picture


def warm_up(loaded: LoadedModel, engine: Engine) -> None:
    """Asks `engine` and waits; not for a thread with a running loop. Raises the EngineError of a failed answer."""
    picture = Picture("warm-up", Image.new("RGB", (_SIDE, _SIDE), "grey"))
    prompt = render(
        loaded.template,
        [Message("user", (ImageRef(picture.sha256), "Hello"))],
        loaded.tokenizer,
        num_patches=loaded.num_patches,
        image_token_id=loaded.image_token_id,
        image_wrap=loaded.image_wrap,
    )
    sampling = SamplingSettings(max_new_tokens=2, seed=0)  # drawn, not greedy, so that drawing is warm too
    request = GenerationRequest(loaded.name, tuple(prompt.input_ids), (picture,), sampling)
    begun = time.monotonic()
    try:
        asyncio.run(_read(engine, request))
    except PromptTooLong:
        _log.info("the context is too small for a picture; no warm-up")
    else:
        _log.info("warmed up in %.2f s", time.monotonic() - begun)


async def _read(engine: Engine, request: GenerationRequest) -> None:
    async for _ in engine.stream(request):
        pass
