"""What an answer states: the fact inside a sentence, read back so that only truth counts and wording does not."""

from __future__ import annotations

import re

from scripts.demo_world.scene import COLOURS, PLACES, SHAPES, SIZES

NUMBERS = ("zero", "one", "two", "three", "four")
SIDES = ("left", "right", "above", "below")
Fact = str | int | frozenset[tuple[str, ...]]
"""A yes or no, a count, a word of the world, or the set of things that a sentence lists."""

_PLURALS = {f"{shape}s": shape for shape in SHAPES} | {"crosses": "cross"}
_WORD = re.compile(r"[a-z]+")


def words(text: str) -> list[str]:
    """Lower-case words, plural shapes made singular, so that a word is compared whole and never as a substring."""
    return [_PLURALS.get(word, word) for word in _WORD.findall(text.lower().replace("middle", "centre"))]


def yes_or_no(answer: str) -> str | None:
    """The answer's first word if it is yes or no."""
    first = words(answer)[:1]
    return first[0] if first in (["yes"], ["no"]) else None


def side(answer: str) -> str | None:
    """On which side of the other a thing is said to stand, in what follows "so"."""
    _, so, after = answer.rpartition(" so ")
    return one_of(after, SIDES) if so else None


def number(answer: str) -> int | None:
    """The one number named; "no shapes" and "nothing" are zero."""
    found = [word for word in words(answer) if word in NUMBERS or word in ("no", "nothing")]
    if len(found) != 1:
        return None
    return NUMBERS.index(found[0]) if found[0] in NUMBERS else 0


def one_of(answer: str, known: tuple[str, ...]) -> str | None:
    """The one word of `known` that the answer states; None when it states several, or denies."""
    if denies(answer):
        return None
    found = {word for word in words(answer) if word in known}
    return found.pop() if len(found) == 1 else None


_ATTRIBUTES = {"colour": COLOURS, "size": SIZES, "shape": SHAPES, "position": PLACES}


def known_words(kind: str) -> tuple[str, ...]:
    """Every value of "colour", "size", "shape" or "position"."""
    return _ATTRIBUTES[kind]


def attribute(answer: str, kind: str) -> str | None:
    """The colour, size, shape or place stated."""
    return place(answer) if kind == "position" else one_of(answer, known_words(kind))


def attribute_kind(fact: Fact) -> str:
    """Which attribute a word of the world is."""
    for kind, known in _ATTRIBUTES.items():
        if fact in known:
            return kind
    raise ValueError(f"{fact!r} is no colour, size, shape or place of the drawn world.")


def denies(answer: str) -> bool:
    """Whether the answer says that the thing asked about is not there."""
    return "there is no " in answer.lower() or "there are no " in answer.lower()


def place(answer: str) -> str | None:
    """The place named, longest name first: "top left" is not "left"."""
    if denies(answer):
        return None
    text = " ".join(words(answer))
    for name in sorted(PLACES, key=len, reverse=True):
        if re.search(rf"\b{name}\b", text):
            return name
    return None


def things(answer: str) -> frozenset[tuple[str, ...]]:
    """Every (size, colour, shape) named; a size or colour that is not named is an empty word."""
    found = []
    size = colour = ""
    for word in words(answer):
        if word in SIZES:
            size = word
        elif word in COLOURS:
            colour = word
        elif word in SHAPES:
            found.append((size, colour, word))
            size = colour = ""
    return frozenset(found)


def placed_things(answer: str) -> frozenset[tuple[str, ...]]:
    """Every (size, colour, shape, place) of a description, clause by clause."""
    found: set[tuple[str, ...]] = set()
    for clause in re.split(r"[.,;]|\band\b", answer):
        where = place(clause)
        for thing in things(clause):
            found.add((*thing, where or ""))
    return frozenset(found)
