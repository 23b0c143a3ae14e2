"""Messages for tests of rendering: hostile texts, short ways to write a turn, and the reference's own cases."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

from conversations.messages import Content, ImageRef, Message
from conversations.template import TEMPLATES, Template

GOLDEN = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "template_golden.json"
NAMES = {"llava_v0", "vicuna_v0", "v0_mmtag", "vicuna_v1", "llava_v1", "v1_mmtag", "plain"}
MARKUP = [
    "###", "Human:", "Assistant:", "USER:", "ASSISTANT:", "<image>", "<s>", "</s>", "<unk>", "<pad>",
    "<im_start>", "<im_end>", "<im_patch>", "<Image>", "</Image>",
]  # fmt: skip
PICTURE = ImageRef("a" * 64)
OTHER_PICTURE = ImageRef("b" * 64)

pieces = st.sampled_from(
    [*MARKUP, "#", "##", "####", "Human", "USER", ":", "<", "</", ">", "s>", "image>", " ", "\n", "é", "C"]
)
hostile = st.one_of(st.lists(pieces, max_size=12).map("".join), st.text(max_size=20))


def user(*content: str | ImageRef) -> Message:
    return Message("user", content)


def assistant(text: str) -> Message:
    return Message("assistant", (text,))


def golden_cases() -> list[dict]:
    if not GOLDEN.exists():
        return []
    return json.loads(GOLDEN.read_text(encoding="utf-8"))["prompt_cases"]


def golden_messages(case: dict) -> tuple[Template, list[Message], str, bool]:
    """The template, our messages for a golden case, its system text, and whether its last turn is open.

    The reference moves a picture to the front, except in its first release's template, `multimodal`.
    """
    template = TEMPLATES[
        {"v1": "vicuna_v1", "multimodal": "llava_v0"}.get(case["template"], case["template"])
    ]
    messages, open_turn = [], False
    for turn in case["messages"]:
        if turn["text"] is None:
            open_turn = True
            continue
        text = turn["text"].replace("<image>", "").strip()
        if turn["image"]:
            content: Content = (text, PICTURE) if case["template"] == "multimodal" else (PICTURE, text)
        else:
            content = (text,)
        messages.append(
            Message("user" if turn["role"].lower() in ("human", "user") else "assistant", content)
        )
    return template, messages, case["system"], open_turn
