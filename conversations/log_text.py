"""Which texts the log keeps. What a person typed is kept as it is or refused; what a model wrote is always
kept."""

from __future__ import annotations

from conversations.errors import InvalidText

TITLE_LENGTH = 60
MAX_TITLE_LENGTH = 200
PICTURE_TITLE = "A picture"


def checked_text(text: str, what: str = "The text") -> str:
    """The same text, or InvalidText: neither database can keep a NUL, nor half of a surrogate pair."""
    if "\0" in text:
        raise InvalidText(f"{what} contains a NUL character, which cannot be kept; remove it.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidText(
            f"{what} contains a broken character at position {error.start + 1}; remove it."
        ) from error
    return text


def can_be_kept(text: str) -> bool:
    """Whether a text could stand in the log at all; an id or an owner that could not need not be looked
    for."""
    return isinstance(text, str) and "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def kept_text(text: str) -> str:
    """A model's text with what cannot be kept replaced by U+FFFD, so that no answer is lost for one
    character."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def title_of(question: str) -> str:
    """A line for the sidebar from the first question, cut between words; 'A picture' where there is no
    text."""
    line = " ".join(question.split())
    if not line:
        return PICTURE_TITLE
    if len(line) <= TITLE_LENGTH:
        return line
    cut = line[:TITLE_LENGTH]
    head, _, _ = cut.rpartition(" ")
    return f"{head if len(head) > TITLE_LENGTH // 2 else cut}…"


def checked_title(title: str) -> str:
    """A title as a person wrote it, on one line. Raises InvalidText if it is empty or too long."""
    line = " ".join(checked_text(title, "The title").split())
    if not line:
        raise InvalidText("The title is empty; write at least one character.")
    if len(line) > MAX_TITLE_LENGTH:
        raise InvalidText(f"The title has {len(line)} characters; at most {MAX_TITLE_LENGTH} are kept.")
    return line
