"""Messages -> token ids and loss mask: one renderer for chat and training.

Every stretch of text between pictures and special tokens is tokenised whole, as the reference tokenises it,
and the mask follows from the character offsets that the tokenizer reports: a token is trained when it covers
a trained character, so also when it straddles a border. Ids and mask are built together; nothing is ever
searched for in the result.

LLaMA's tokenizer puts a space in front of every stretch, also after a special token; checkpoints whose tokenizer config
says `legacy: false` were trained without it there (transformers 4.37, models/llama/tokenization_llama.py), but with it
after a picture, where the reference tokenises anew.

Special tokens come from the template alone. Text is tokenised with `split_special_tokens`, so that `</s>` in
a message is spelled out in pieces even where `plain_text` does not know the token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from conversations.messages import ImageRef, Message
from conversations.template import ImageSegment, SpecialSegment, Template, TextSegment

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


_LINE_BREAK = "\n"
"""Put ahead of a text that must not get a space of its own, and taken off again: in LLaMA's vocabulary it is a byte,
which is never part of a longer piece."""


class MissingToken(ValueError):
    """The template, or `image_wrap`, needs a special token that the tokenizer does not have."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is given. `input_ids` and `loss_mask` are equally long, T."""

    input_ids: list[int]
    loss_mask: list[bool]  # True where the token is to be learned
    text: str  # for people to read: `<image>` where a picture stands, no beginning-of-sequence mark
    images: tuple[ImageRef, ...]  # in the order of their places


def render(
    template: Template,
    messages: Sequence[Message],
    tokenizer: PreTrainedTokenizerFast,
    *,
    num_patches: int,
    image_token_id: int,
    system: str | None = None,
    open_turn: bool = True,
    image_wrap: tuple[str, str] | None = None,
) -> Prompt:
    """Render a conversation. `open_turn=True` ends with the assistant's role header, ready to be answered.

    Each picture becomes `num_patches` times `image_token_id`, between the two special tokens of `image_wrap`
    where given (checkpoints with `mm_use_im_start_end`). Raises MissingToken.
    """
    writer = _Writer(tokenizer)
    if tokenizer.bos_token_id is not None:
        writer.add_ids([tokenizer.bos_token_id], trained=False, shown="")
    images: list[ImageRef] = []
    for segment in template.segments(messages, system=system, open_turn=open_turn):
        if isinstance(segment, TextSegment):
            writer.add_text(segment.text, segment.trained)
        elif isinstance(segment, SpecialSegment):
            writer.add_special(segment.token, segment.trained)
        elif isinstance(segment, ImageSegment):
            images.append(segment.image)
            before, after = image_wrap or (None, None)
            if before is not None:
                writer.add_special(before, trained=False)
            writer.add_ids([image_token_id] * num_patches, trained=False, shown="<image>")
            if after is not None:
                writer.add_special(after, trained=False)
    writer.end_stretch()
    return Prompt(writer.input_ids, writer.loss_mask, "".join(writer.shown), tuple(images))


@dataclass(slots=True)
class _Writer:
    """Collects ids and mask; text waits until its stretch is complete."""

    tokenizer: PreTrainedTokenizerFast
    input_ids: list[int] = field(default_factory=list)
    loss_mask: list[bool] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    stretch: list[tuple[str, bool]] = field(default_factory=list)
    joined: bool = (
        False  # whether the next stretch goes on right after a special token, without a space of its own
    )

    def add_text(self, text: str, trained: bool) -> None:
        self.stretch.append((text, trained))
        self.shown.append(text)

    def add_special(self, token: str, trained: bool) -> None:
        token_id = self.tokenizer.get_added_vocab().get(token)
        if token_id is None:
            raise MissingToken(
                f"The prompt needs the special token {token}, which the tokenizer does not have; choose another "
                "template with --template, or add the token to the tokenizer."
            )
        self.add_ids([token_id], trained, shown=token)
        self.joined = self.tokenizer.init_kwargs.get("legacy") is False

    def add_ids(self, ids: Sequence[int], trained: bool, shown: str) -> None:
        self.end_stretch()
        self.input_ids.extend(ids)
        self.loss_mask.extend([trained] * len(ids))
        self.shown.append(shown)
        self.joined = False

    def end_stretch(self) -> None:
        """Tokenise the waiting text as a whole and mark the tokens that cover a trained character."""
        text = "".join(piece for piece, _ in self.stretch)
        trained_characters = [trained for piece, trained in self.stretch for _ in piece]
        self.stretch = []
        if not text:
            return
        ahead = _LINE_BREAK if self.joined else ""
        encoded = self.tokenizer(
            ahead + text,
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        for token_id, (first, last) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            start, end = first - len(ahead), last - len(ahead)
            if start < 0:
                continue
            self.input_ids.append(token_id)
            # A token may cover no character (a tokenizer's own word mark): it goes with the one after it.
            self.loss_mask.append(any(trained_characters[start : max(end, start + 1)]))
