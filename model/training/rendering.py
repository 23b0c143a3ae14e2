"""How an example becomes token ids and a mask: by chat's renderer, with what the base model says of itself."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conversations.examples import Example
from conversations.messages import ImageRef, Message
from conversations.template import TEMPLATES, Template
from model.prompt import Prompt, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from model.checkpoint import LoadedModel
    from model.training.config import TrainingConfig


@dataclass(frozen=True, slots=True)
class Rendering:
    """What of a base model rendering needs; its weights are not."""

    template: Template
    tokenizer: PreTrainedTokenizerFast
    num_patches: int
    image_token_id: int
    context_tokens: int
    image_wrap: tuple[str, str] | None = None

    @classmethod
    def of(cls, loaded: LoadedModel, config: TrainingConfig) -> Rendering:
        """Stage 1 is trained on bare pictures and captions, whatever the model is asked by later (the paper, section
        4.2)."""
        return cls(
            loaded.template, loaded.tokenizer, loaded.num_patches, loaded.image_token_id, loaded.context_tokens,
            loaded.image_wrap,
        ).for_run(config)  # fmt: skip

    def for_run(self, config: TrainingConfig) -> Rendering:
        """With the template that the config asks for."""
        name = config.template or ("plain" if config.recipe == "align" else self.template.name)
        return replace(
            self, template=TEMPLATES[name], context_tokens=min(self.context_tokens, config.max_tokens)
        )

    def prompt(self, example: Example, *, open_turn: bool = False) -> Prompt:
        """The whole example as it is learned, or, with `open_turn`, its messages ready to be answered."""
        return render(
            self.template, example.messages, self.tokenizer, num_patches=self.num_patches,
            image_token_id=self.image_token_id, system=example.system or None, open_turn=open_turn,
            image_wrap=self.image_wrap,
        )  # fmt: skip

    def fitting(self, example: Example) -> tuple[Example, Prompt] | None:
        """The example, without its last exchanges where it is too long; None where not even the first one fits."""
        while example.messages:
            prompt = self.prompt(example)
            if len(prompt.input_ids) <= self.context_tokens:
                return example, prompt
            example = replace(example, messages=example.messages[:-2])
        return None


def with_drawn_order(example: Example, seed: str) -> Example:
    """The first question's picture before or after its text, at random (the paper, section 4.2, equation 3)."""
    first = example.messages[0]
    words = [part for part in first.content if isinstance(part, str)]
    pictures = [part for part in first.content if isinstance(part, ImageRef)]
    if len(words) != 1 or len(pictures) != 1:
        return example
    turned = (words[0], pictures[0]) if random.Random(seed).random() < 0.5 else (pictures[0], words[0])
    return replace(example, messages=(Message("user", turned), *example.messages[1:]))
