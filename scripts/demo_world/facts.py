"""What an answer states: the fact inside a sentence, read back so that only truth counts and wording does not."""

from __future__ import annotations

import re

from scripts.demo_world.scene import COLOURS, PLACES, SHAPES, SIZES

NUMBERS = ("zero", "one", "two", "three", "four")
SIDES = ("left", "right", "above", "below")
Fact = str | int | frozenset[tuple[str, ...]]
"""A yes or no, a count, a word of the world, or the set of things that a sentence lists."""

_ONE_WAY = (
    {f"{shape}s": shape for shape in SHAPES}
    | {"crosses": "cross", "middle": "centre", "biggest": "largest", "bigger": "larger"}
    | {"image": "picture", "drawing": "picture"}
)
_WORD = re.compile(r"[a-z]+")
_PLACE = re.compile("|".join(rf"\b{name}\b" for name in sorted(PLACES, key=len, reverse=True)))
_DENIAL = re.compile(r"there (?:is|are) no ([a-z ]+?)(?: in the picture)?")
_WORLD = frozenset((*COLOURS, *SHAPES, *SIZES, "largest", "smallest", *" ".join(PLACES).split()))


def words(text: str) -> list[str]:
    """Lower-case words, each compared whole and never as a substring; plurals and words of one meaning made one."""
    return [_ONE_WAY.get(word, word) for word in _WORD.findall(text.lower())]


def named(text: str) -> frozenset[str]:
    """Every colour, shape, size, extreme and part of a place in the text."""
    return _WORLD.intersection(words(text))


def yes_or_no(answer: str) -> str | None:
    """The answer's first word if it is yes or no and what follows does not say the opposite."""
    first, *rest = words(answer) or [""]
    if first not in ("yes", "no"):
        return None
    agrees = not rest or ("no" in rest or "not" in rest) == (first == "no")
    return first if agrees else None


def side(answer: str) -> str | None:
    """On which side of the other a thing is said to stand, in what follows "so"."""
    after = conclusion(answer)
    return one_of(after, SIDES) if after else None


def conclusion(answer: str) -> str:
    """What follows the last "so", or nothing."""
    _, so, after = answer.rpartition(" so ")
    return after if so else ""


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
    return denied(answer) is not None


def denied(answer: str) -> str | None:
    """What the answer, as a whole, says is not there: "no red star" for "There is no red star in the picture."."""
    found = _DENIAL.fullmatch(" ".join(words(answer)))
    return f"no {found[1]}" if found else None


def place(answer: str) -> str | None:
    """The one place named, longest name first: "top left" is not "left"; None when several are."""
    found = set(_PLACE.findall(" ".join(words(answer))))
    return found.pop() if len(found) == 1 and not denies(answer) else None


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
