"""Which of our templates a llava-hf checkpoint was written for, by the chat template that came with it.

The chat template is a program (Jinja) and is never run: its own words tell.
"""

from __future__ import annotations

from pathlib import Path

from .json_file import LARGEST_BYTES, read_object

_MARKS = (
    # what must all stand in it, the template, how it is told
    (("###", "Human"), "llava_v0", "the ###Human turns of its chat template"),
    (("USER", "ASSISTANT"), "vicuna_v1", "the USER and ASSISTANT turns of its chat template"),
    ((".upper()", "ASSISTANT"), "vicuna_v1", "the USER and ASSISTANT turns of its chat template"),
)


def template_of_chat(folder: Path) -> tuple[str | None, str]:
    """A name in TEMPLATES and how it is told, or (None, ""). Raises CheckpointError for unreadable files."""
    text = _chat_template(folder)
    for marks, name, why in _MARKS:
        if all(mark in text for mark in marks):
            return name, why
    return None, ""


def _chat_template(folder: Path) -> str:
    path = folder / "chat_template.jinja"
    if path.is_file() and path.stat().st_size < LARGEST_BYTES:
        return path.read_text(encoding="utf-8", errors="replace")
    for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        found = read_object(folder / name, may_lack=True).get("chat_template")
        if isinstance(found, str):
            return found
    return ""
