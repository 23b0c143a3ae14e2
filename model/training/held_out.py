"""What the model says to held-out questions: the share of answers that it matches exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from conversations.examples import Example
from model.checkpoint import LoadedModel
from model.engine.end_of_sequence import end_of_sequence_ids
from model.training.features import UNREADABLE, PictureSource
from model.training.rendering import Rendering

SPARE_TOKENS = 16
"""Beyond the right answer's: what is longer cannot match any more."""


@dataclass(frozen=True, slots=True)
class HeldOutQuestion:
    """A conversation up to a question, and the right answer to it."""

    example: Example
    question: str
    right: str


def questions(examples: Sequence[Example], most: int) -> list[HeldOutQuestion]:
    """The first answers of all conversations, then the second ones, and so on: at most so many."""
    found: list[HeldOutQuestion] = []
    for place in range(max((len(example.messages) // 2 for example in examples), default=0)):
        for example in examples:
            until = 2 * place + 1
            if until < len(example.messages):
                asked = replace(example, messages=example.messages[:until])
                found.append(
                    HeldOutQuestion(asked, asked.messages[-1].text, example.messages[until].text.strip())
                )
    return found[:most]


@torch.inference_mode()
def answers(
    loaded: LoadedModel,
    rendering: Rendering,
    asked: Sequence[HeldOutQuestion],
    pictures: PictureSource,
    places: dict[str, int],
    on_progress: Callable[[float], None],
) -> Iterator[str]:
    """Greedy answers in order, cut at the template's stop; "" where a picture cannot be read."""
    from model.training.network import TrainingNetwork

    model, tokenizer, stop = loaded.model, loaded.tokenizer, rendering.template.stop
    ends = end_of_sequence_ids(loaded)
    network = TrainingNetwork(model)
    was_training = model.training
    model.eval()
    for number, question in enumerate(asked):
        on_progress(number / len(asked))
        prompt = rendering.prompt(question.example, open_turn=True)
        ids = torch.tensor([prompt.input_ids], device=model.device)
        try:
            chosen = [places[ref.sha256] for ref in prompt.images]
            source = {pictures.key: pictures.get(chosen).to(model.device)} if chosen else {}
        except UNREADABLE:
            yield ""
            continue
        embeds = network.embedded(ids, source.get("pixel_values"), source.get("tower_features"))
        longest = len(tokenizer(question.right, add_special_tokens=False).input_ids) + SPARE_TOKENS
        cache, text, written = None, "", list[int]()
        for _ in range(longest):
            out = model.model.language_model(inputs_embeds=embeds, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            token = int(model.lm_head(out.last_hidden_state[:, -1]).argmax(-1))
            if token in ends:
                break
            written.append(token)
            text = tokenizer.decode(written, skip_special_tokens=True)
            if stop is not None and stop in text:
                break
            embeds = model.get_input_embeddings()(torch.tensor([[token]], device=model.device))
        yield (text.split(stop)[0] if stop else text).strip()
    model.train(was_training)
