"""Templates: how a conversation is laid out for a model, as pieces that are each marked trained or not.

No torch and no tokenizer here: a template gives text, the places of pictures, and the names of special
tokens, and `model/prompt.py` turns them into ids. Only an assistant's answer and the stop after it are marked
as trained. Chat and training go through the same function, so what a model is trained on is, token for token,
what it is asked.

What a person or a model wrote is text, never markup: `plain_text` is applied in here, to every message and
every foreign system prompt, so that no caller can forget it. See docs/templates.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from .messages import ImageRef, Message

SPECIAL_NAMES = ("image", "s", "unk", "pad", "im_start", "im_end", "im_patch", "Image")
ROLE_HEADERS = ("Human", "Assistant", "USER", "ASSISTANT")

_HALF_PAIR = re.compile("[\ud800-\udfff]")
_HASHES = re.compile(r"#{3,}")
_HEADER = re.compile(rf"({'|'.join(ROLE_HEADERS)}):")
_SPECIAL = re.compile(rf"<(/?(?:{'|'.join(SPECIAL_NAMES)})>)")


def plain_text(text: str) -> str:
    """The one rule that turns what was typed into text that is never markup of any template.

    Spaces are put in, nothing is taken out:

        three hashes or more    `###`      -> `# # #`
        a role header           `Human:`   -> `Human :`      (also Assistant, USER, ASSISTANT)
        a special token         `<image>`  -> `< image>`     (also s, unk, pad, im_start, im_end, im_patch and
                                                             Image, each with or without a slash)
        a hash at the very end  `C#`       -> `C# `          (a template's `###` may follow)

    One thing is replaced: half of a surrogate pair, which is no character and no tokenizer takes, becomes
    U+FFFD. Applying the rule twice changes nothing more. All other text comes back as it went in.
    """
    text = _HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", text)
    text = _HASHES.sub(lambda run: " ".join(run[0]), text)
    text = _HEADER.sub(r"\1 :", text)
    text = _SPECIAL.sub(r"< \1", text)
    return text + " " if text.endswith("#") else text


@dataclass(frozen=True, slots=True)
class TextSegment:
    """Text as it stands in the prompt."""

    text: str
    trained: bool = False


@dataclass(frozen=True, slots=True)
class ImageSegment:
    """The place of one picture. Never trained."""

    image: ImageRef


@dataclass(frozen=True, slots=True)
class SpecialSegment:
    """One special token, by its name in the vocabulary."""

    token: str
    trained: bool = False


Segment = TextSegment | ImageSegment | SpecialSegment
Layout = Literal["hashes", "two_marks", "plain"]


@dataclass(frozen=True, slots=True)
class Template:
    """One way to lay out a conversation.

    layout "hashes":     SYS###Human: Q###Assistant: A###          the stop is text
    layout "two_marks":  SYS USER: Q ASSISTANT: A</s>USER: ...     the stop is a special token
    layout "plain":      pictures, then the caption and a line break; questions are dropped (stage 1)
    """

    name: str
    layout: Layout
    system: str
    stop: str | None  # what ends an answer
    user_role: str = ""
    assistant_role: str = ""
    images_apart: bool = False  # mmtag: a pair of messages of their own holds the pictures
    examples: tuple[tuple[str, str], ...] = ()  # question and answer pairs that stand before the conversation

    def segments(
        self, messages: Sequence[Message], *, system: str | None = None, open_turn: bool = True
    ) -> tuple[Segment, ...]:
        """Lay out `messages`; parts of a message keep their order and are joined by line breaks.

        `system=None` means the template's own. `open_turn=True` ends with the assistant's role header, ready
        to be answered. Space around a message's texts is dropped; pictures in an assistant's message are left
        out. A question without anything is the bare header, without the separator after it, as the reference
        writes it; with the mmtag templates that is also one that holds nothing but pictures.
        """
        own = system is None or system == self.system
        system_text = self.system if system is None or own else plain_text(system.strip())
        return tuple(_joined(self._pieces(messages, system_text, open_turn)))

    def _pieces(self, messages: Sequence[Message], system_text: str, open_turn: bool) -> Iterator[Segment]:
        if self.layout == "plain":
            yield from _plain_pieces(messages, system_text)
            return
        yield TextSegment(system_text + ("###" if self.layout == "hashes" else " "))
        for question, answer in self.examples:
            yield from self._user((TextSegment(question),))
            yield from self._assistant(answer, trained=False)
        for message in messages:
            if message.role == "assistant":
                yield from self._assistant(_answer_text(message), trained=True)
                continue
            parts = _parts(message)
            if self.images_apart:
                for image in message.images:
                    picture = (TextSegment("<Image>"), ImageSegment(image), TextSegment("</Image>"))
                    yield from self._user(picture)
                    yield from self._assistant("Received.", trained=False)
                parts = tuple(part for part in parts if isinstance(part, TextSegment))
            yield from self._user(_lines(parts))
        if open_turn:
            yield TextSegment(f"{self.assistant_role}:")

    def _user(self, pieces: Sequence[Segment]) -> Iterator[Segment]:
        if not pieces:
            yield TextSegment(f"{self.user_role}:")
            return
        yield TextSegment(f"{self.user_role}: ")
        yield from pieces
        yield TextSegment("###" if self.layout == "hashes" else " ")

    def _assistant(self, answer: str, *, trained: bool) -> Iterator[Segment]:
        """The space after the header belongs to the answer: the open turn ends without it."""
        yield TextSegment(f"{self.assistant_role}:")
        yield TextSegment(f" {answer}", trained)
        if self.layout == "hashes":
            yield TextSegment("###", trained)
        else:
            yield SpecialSegment("</s>", trained)


def _plain_pieces(messages: Sequence[Message], system_text: str) -> Iterator[Segment]:
    if system_text:
        yield TextSegment(f"{system_text}\n")
    for message in messages:
        if message.role == "user":
            yield from (ImageSegment(image) for image in message.images)
        else:
            yield TextSegment(f"{_answer_text(message)}\n", trained=True)


def _answer_text(message: Message) -> str:
    return plain_text(message.text.strip())


def _parts(message: Message) -> tuple[TextSegment | ImageSegment, ...]:
    """The message's parts in order, texts made plain, empty ones left out."""
    parts: list[TextSegment | ImageSegment] = []
    for part in message.content:
        if isinstance(part, ImageRef):
            parts.append(ImageSegment(part))
        elif part.strip():
            parts.append(TextSegment(plain_text(part.strip())))
    return tuple(parts)


def _lines(parts: Sequence[TextSegment | ImageSegment]) -> tuple[Segment, ...]:
    """A line break between any two parts."""
    lines: list[Segment] = []
    for part in parts:
        if lines:
            lines.append(TextSegment("\n"))
        lines.append(part)
    return tuple(lines)


def _joined(pieces: Iterator[Segment]) -> Iterator[Segment]:
    """Neighbouring texts with the same mark become one; empty ones vanish."""
    waiting: TextSegment | None = None
    for piece in pieces:
        if isinstance(piece, TextSegment):
            if waiting is not None and waiting.trained == piece.trained:
                waiting = TextSegment(waiting.text + piece.text, piece.trained)
                continue
            if waiting is not None and waiting.text:
                yield waiting
            waiting = piece
            continue
        if waiting is not None and waiting.text:
            yield waiting
        waiting = None
        yield piece
    if waiting is not None and waiting.text:
        yield waiting


_HUMAN_SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
_USER_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
# No space after "language.": so it stands in the reference.
_MMTAG_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant is able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language."
    "The visual content will be provided with the following format: <Image>visual content</Image>."
)

# vicuna_v0's one example, to the character (lm-sys/FastChat and haotian-liu/LLaVA, conversation.py;
# Apache-2.0).
_VICUNA_QUESTION = "What are the key differences between renewable and non-renewable energy sources?"
_VICUNA_ANSWER = (
    "Renewable energy sources are those that can be replenished naturally in a relatively short amount "
    "of time, such as solar, wind, hydro, geothermal, and biomass. Non-renewable energy sources, on the "
    "other hand, are finite and will eventually be depleted, such as coal, oil, and natural gas. Here "
    "are some key differences between renewable and non-renewable energy sources:\n"
    "1. Availability: Renewable energy sources are virtually inexhaustible, while non-renewable energy "
    "sources are finite and will eventually run out.\n"
    "2. Environmental impact: Renewable energy sources have a much lower environmental impact than "
    "non-renewable sources, which can lead to air and water pollution, greenhouse gas emissions, and "
    "other negative effects.\n"
    "3. Cost: Renewable energy sources can be more expensive to initially set up, but they typically "
    "have lower operational costs than non-renewable sources.\n"
    "4. Reliability: Renewable energy sources are often more reliable and can be used in more remote "
    "locations than non-renewable sources.\n"
    "5. Flexibility: Renewable energy sources are often more flexible and can be adapted to different "
    "situations and needs, while non-renewable sources are more rigid and inflexible.\n"
    "6. Sustainability: Renewable energy sources are more sustainable over the long term, while "
    "non-renewable sources are not, and their depletion can lead to economic and social instability.\n"
)


def _hashes(
    name: str, system: str, *, images_apart: bool = False, examples: tuple[tuple[str, str], ...] = ()
) -> Template:
    return Template(name, "hashes", system, "###", "Human", "Assistant", images_apart, examples)


def _two_marks(name: str, system: str, *, images_apart: bool = False) -> Template:
    return Template(name, "two_marks", system, "</s>", "USER", "ASSISTANT", images_apart)


_ALL = (
    _hashes("llava_v0", _HUMAN_SYSTEM),
    _hashes("vicuna_v0", _HUMAN_SYSTEM, examples=((_VICUNA_QUESTION, _VICUNA_ANSWER),)),
    _hashes("v0_mmtag", _MMTAG_SYSTEM, images_apart=True),
    _two_marks("vicuna_v1", _USER_SYSTEM),
    _two_marks("llava_v1", _HUMAN_SYSTEM),
    _two_marks("v1_mmtag", _MMTAG_SYSTEM, images_apart=True),
    Template("plain", "plain", "", "\n"),
)
TEMPLATES: Mapping[str, Template] = MappingProxyType({template.name: template for template in _ALL})
"""Every template by its name, which is what a checkpoint's config holds."""
