"""Text in exported files: what was typed is never a mark there, and reading the file gives back what was typed.

`plain_text` in template.py does the first for a prompt, by putting one space in. A file is read again, so here the
space is put in also where some stand already, and reading takes one out: `<image>` is written `< image>`, and
`< image>` is written `<  image>`. Whatever is written is plain: `plain_text` finds nothing more to do.

`escape` and `restore` are about marks in angle brackets, which every reader of training data knows: our own, those
of LLaMA-Factory and ms-swift for other media and boxes, and `<|…|>`, which is how most of today's vocabularies
write their special tokens. `escape_all` and `restore_all` are about the templates' own marks as well: LLaVA's
trainer finds its labels by searching for `ASSISTANT: `, and tells turns apart by `###`.

A file that somebody else wrote may hold `< image>` on its own account. It is then read as `<image>`, as text, and
a prompt shows it as `< image>` again.
"""

from __future__ import annotations

import re

from conversations.template import ROLE_HEADERS, SPECIAL_NAMES

MEDIA_NAMES = ("video", "audio", "img", "bbox", "ref-object", "cot-process", "start-image")
"""What LLaMA-Factory 0.9.5 (extras/constants.py) and ms-swift 4.6 (template/base.py) look for in texts, beside
`<image>`."""

_HALF_PAIR = re.compile("[\ud800-\udfff]")
_NAMES = "|".join((*SPECIAL_NAMES, *MEDIA_NAMES))
_BRACKET = re.compile(rf"<( *)(?=/?(?:{_NAMES})>|\|[A-Za-z0-9_ ]+\|>)")
_HEADER = re.compile(rf"({'|'.join(ROLE_HEADERS)})( *):")
_HASHES = re.compile(r"#(?: *#){2,}")
_LAST_HASH = re.compile(r"#( *)\Z")


def escape(text: str) -> str:
    """Text without marks in angle brackets. Half of a surrogate pair, which no file can hold, becomes U+FFFD."""
    if "<" in text:
        text = _BRACKET.sub(r"<\1 ", text)
    return text if text.isascii() else _HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", text)


def restore(text: str) -> str:
    """`restore(escape(text)) == text` for every text without halves of surrogate pairs."""
    return _BRACKET.sub(_one_space_less, text) if "<" in text else text


def escape_all(text: str) -> str:
    """Text without marks of any template, either."""
    if ":" in text:
        text = _HEADER.sub(r"\1\2 :", text)
    if "#" in text:
        text = _HASHES.sub(lambda run: run[0][:-1].replace("#", "# ") + "#", text)
        text = _LAST_HASH.sub(r"#\1 ", text)
    return escape(text)


def restore_all(text: str) -> str:
    """`restore_all(escape_all(text)) == text` for every text without halves of surrogate pairs."""
    text = restore(text)
    if "#" in text:
        text = _LAST_HASH.sub(lambda end: "#" + end[1][1:], text)
        text = _HASHES.sub(_closer, text)
    return _HEADER.sub(lambda header: f"{header[1]}{header[2][1:]}:", text) if ":" in text else text


def _one_space_less(mark: re.Match[str]) -> str:
    return "<" + mark[1][1:]


def _closer(run: re.Match[str]) -> str:
    """A run that escaping made has a space in every gap; another is left as it is."""
    return run[0] if "##" in run[0] else run[0].replace("# ", "#")
