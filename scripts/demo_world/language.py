"""What can truthfully be said about a scene: captions, and the three kinds of instruction data of the paper.

Conversation (counting, existence, attributes, places, relations, follow-ups), detailed description, and reasoning
(comparisons, extremes, what would remain, things that are not there). An exchange carries the fact that its answer
states, so that an examination compares facts and not wording.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from scripts.demo_world import facts
from scripts.demo_world.scene import COLOURS, SHAPES, Scene, Thing
from scripts.demo_world.wording import PHRASINGS

_SIDES = ("to the left of", "to the right of", "above", "below")
_OPPOSITES = dict(zip(_SIDES, ("to the right of", "to the left of", "below", "above"), strict=True))
_SIDE_GAP = 0.12  # centres closer than this are neither clearly left nor clearly right of each other


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question, a right answer, and the fact in it; `before` are earlier exchanges that the question leans on."""

    kind: str
    question: str
    answer: str
    fact: facts.Fact
    before: tuple[Exchange, ...] = ()


def article(words: str) -> str:
    """The words with "a" or "an" before them."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def plural(shape: str) -> str:
    return "crosses" if shape == "cross" else f"{shape}s"


def named(thing: Thing) -> str:
    """For example "small red circle"."""
    return f"{thing.size} {thing.colour} {thing.shape}"


def at(thing: Thing) -> str:
    """For example "at the top left"."""
    return "in the centre" if thing.place == "centre" else f"at the {thing.place}"


def caption(scene: Scene, rng: random.Random | None = None) -> str:
    """One sentence that names every thing and its place, in reading order, or in random order when `rng` is given."""
    order = list(scene.things)
    if rng is not None:
        rng.shuffle(order)
    return _listed([f"{article(named(thing))} {at(thing)}" for thing in order]).capitalize() + "."


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


def _descriptions_of(scene: Scene, thing: Thing) -> list[str]:
    """Noun phrases, without article, that fit this thing and no other in the scene."""
    candidates = [
        (thing.shape, lambda other: other.shape == thing.shape),
        (f"{thing.colour} shape", lambda other: other.colour == thing.colour),
        (f"{thing.colour} one", lambda other: other.colour == thing.colour),
        (
            f"{thing.colour} {thing.shape}",
            lambda other: (other.colour, other.shape) == (thing.colour, thing.shape),
        ),
        (f"{thing.size} {thing.shape}", lambda other: (other.size, other.shape) == (thing.size, thing.shape)),
        (named(thing), lambda other: named(other) == named(thing)),
        (f"shape {at(thing)}", lambda other: other.place == thing.place),
    ]
    return [words for words, fits in candidates if sum(map(fits, scene.things)) == 1]


def _refer(scene: Scene, rng: random.Random, thing: Thing, hide: tuple[str, ...] = ()) -> str | None:
    """ "the red circle": a phrase for this thing alone that does not contain the words to be asked for."""
    options = [words for words in _descriptions_of(scene, thing) if not set(words.split()) & set(hide)]
    return f"the {rng.choice(options)}" if options else None


def _exchange(
    kind: str, rng: random.Random, held_out: bool, answer: str, fact: facts.Fact, **fields: str
) -> Exchange:
    question = PHRASINGS[kind].choose(rng, held_out=held_out).format(**fields)
    return Exchange(kind, question, answer, fact)


def _there_are(count: int, one: str, many: str) -> str:
    if count == 0:
        return f"There are no {many}."
    return f"There is one {one}." if count == 1 else f"There are {facts.NUMBERS[count]} {many}."


def count(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    total = len(scene.things)
    return _exchange("count", rng, held_out, _there_are(total, "shape", "shapes"), total)


def count_colour(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    """How many red shapes, or how many circles: half of the time something the scene repeats or lacks."""
    if rng.random() < 0.65:
        colour = _often_present(rng, COLOURS, [thing.colour for thing in scene.things])
        total = sum(thing.colour == colour for thing in scene.things)
        one, many = f"{colour} shape", f"{colour} shapes"
    else:
        shape = _often_present(rng, SHAPES, [thing.shape for thing in scene.things])
        total = sum(thing.shape == shape for thing in scene.things)
        one, many = shape, plural(shape)
    return _exchange("count_colour", rng, held_out, _there_are(total, one, many), total, what=many)


def _often_present(rng: random.Random, known: tuple[str, ...], present: list[str]) -> str:
    repeated = [word for word in present if present.count(word) > 1]
    if repeated and rng.random() < 0.6:
        return rng.choice(repeated)
    return rng.choice(present) if rng.random() < 0.6 else rng.choice(known)


def existence(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    """Yes and no in equal parts; a no often shares colour or shape with something that is there."""
    thing = rng.choice(scene.things)
    form = rng.choice(("colour_shape", "shape", "colour"))
    colour, shape = thing.colour, thing.shape
    if rng.random() < 0.5:
        change = rng.choice(("colour", "shape")) if form == "colour_shape" else form
        if change == "colour":
            colour = rng.choice(COLOURS)
        else:
            shape = rng.choice(SHAPES)
    what = {"colour_shape": f"{colour} {shape}", "shape": shape, "colour": f"{colour} shape"}[form]
    wanted = set(what.split()) - {"shape"}
    exists = any(wanted <= {thing.colour, thing.shape} for thing in scene.things)
    answer = f"Yes, there is {article(what)}." if exists else f"No, there is no {what}."
    return _exchange("existence", rng, held_out, answer, "yes" if exists else "no", what=article(what))


def colour(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    thing = rng.choice(scene.things)
    the = _refer(scene, rng, thing, hide=(thing.colour,))
    if the is None:
        return None
    return _exchange("colour", rng, held_out, f"{the.capitalize()} is {thing.colour}.", thing.colour, the=the)


def shape(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    thing = rng.choice(scene.things)
    the = _refer(scene, rng, thing, hide=(thing.shape,))
    if the is None:
        return None
    answer = f"{the.capitalize()} is {article(thing.shape)}."
    return _exchange("shape", rng, held_out, answer, thing.shape, the=the)


def size(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    thing = rng.choice(scene.things)
    the = _refer(scene, rng, thing, hide=(thing.size,))
    if the is None:
        return None
    return _exchange("size", rng, held_out, f"{the.capitalize()} is {thing.size}.", thing.size, the=the)


def position(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    thing = rng.choice(scene.things)
    the = _refer(scene, rng, thing, hide=("at", "in"))
    if the is None:
        return None
    return _exchange("position", rng, held_out, f"{the.capitalize()} is {at(thing)}.", thing.place, the=the)


def _holds(one: Thing, side: str, other: Thing) -> bool | None:
    """Whether `one` stands on that side of `other`; None when it is too close to call."""
    across, down = other.x - one.x, other.y - one.y
    gap = {"to the left of": across, "to the right of": -across, "above": down, "below": -down}[side]
    return None if abs(gap) < _SIDE_GAP else gap > 0


def _fact_of(side: str) -> str:
    """ "to the left of" states "left"."""
    return next(word for word in facts.SIDES if word in side.split())


def relation(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    if len(scene.things) < 2:
        return None
    one, other = rng.sample(scene.things, 2)
    the, that = _refer(scene, rng, one, hide=("at", "in")), _refer(scene, rng, other, hide=("at", "in"))
    side = rng.choice(_SIDES)
    holds = _holds(one, side, other)
    if the is None or that is None or holds is None:
        return None
    true_side = side if holds else _OPPOSITES[side]
    # Places first, then what follows from them: each word needs only what stands before it (docs/decisions/0007).
    answer = f"{the.capitalize()} is {at(one)} and {that} is {at(other)}, so {the} is {true_side} {that}."
    said = side.replace("to the ", "") if rng.random() < 0.4 else side
    return _exchange("relation", rng, held_out, answer, _fact_of(true_side), the=the, other=that, side=said)


def comparison(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    pairs = [
        (one, other)
        for one in scene.things
        for other in scene.things
        if one.size != other.size and (one.shape, one.colour) != (other.shape, other.colour)
    ]
    if not pairs:
        return None
    one, other = rng.choice(pairs)
    hide = ("small", "large", "at", "in")
    the, that = _refer(scene, rng, one, hide), _refer(scene, rng, other, hide)
    if the is None or that is None:
        return None
    larger = the if one.size == "large" else that
    fact = " ".join(facts.words(larger))
    return _exchange(
        "comparison", rng, held_out, f"{larger.capitalize()} is larger.", fact, the=the, other=that
    )


def _extreme(kind: str, wanted: str, scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    if len(scene.things) < 2 or sum(thing.size == wanted for thing in scene.things) != 1:
        return None
    thing = next(thing for thing in scene.things if thing.size == wanted)
    words = f"{thing.colour} {thing.shape}"
    answer = f"The {words} is the {kind}."
    return _exchange(kind, rng, held_out, answer, frozenset({("", thing.colour, thing.shape)}))


def extreme(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    """Which is the largest, or the smallest, where one alone is."""
    kind, wanted = rng.choice((("largest", "large"), ("smallest", "small")))
    return _extreme(kind, wanted, scene, rng, held_out)


def removal(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    colour = rng.choice(scene.things).colour
    left = [thing for thing in scene.things if thing.colour != colour]
    if not left:
        answer = "Nothing would remain."
    else:
        answer = f"{_listed([article(named(thing)) for thing in left])} would remain.".capitalize()
    fact = frozenset((thing.size, thing.colour, thing.shape) for thing in left)
    return _exchange("removal", rng, held_out, answer, fact, colour=colour)


def absent(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    """A question whose subject is not in the picture gets an honest "there is no …"."""
    present = {(thing.colour, thing.shape) for thing in scene.things}
    asked: tuple[str, ...]
    if rng.random() < 0.5:
        what = rng.choice([s for s in SHAPES if s not in {shape for _, shape in present}])
        asked = ("colour", "size", "position")
    elif rng.random() < 0.5:
        what = rng.choice([c for c in COLOURS if c not in {colour for colour, _ in present}]) + " shape"
        asked = ("shape", "size", "position")
    else:
        what = " ".join(rng.choice([(c, s) for c in COLOURS for s in SHAPES if (c, s) not in present]))
        asked = ("size", "position")
    question = PHRASINGS[rng.choice(asked)].choose(rng, held_out=held_out).format(the=f"the {what}")
    return Exchange("absent", question, f"There is no {what} in the picture.", f"no {what}")


def describe(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    lines = [_there_are(len(scene.things), "shape", "shapes")]
    lines += [f"{article(named(thing)).capitalize()} is {at(thing)}." for thing in scene.things]
    fact = frozenset((thing.size, thing.colour, thing.shape, thing.place) for thing in scene.things)
    return _exchange("describe", rng, held_out, " ".join(lines), fact)


_FIRST: dict[str, Callable[[Scene, random.Random, bool], Exchange | None]] = {
    "colour": colour, "size": size, "position": position,
}  # fmt: skip


def follow_up(scene: Scene, rng: random.Random, held_out: bool) -> Exchange | None:
    """A question about one thing, then one about "it"."""
    for _ in range(8):
        first_kind = rng.choice(tuple(_FIRST))
        thing = rng.choice(scene.things)
        alone = Scene(scene.seed, (thing,), scene.background, scene.shading)
        options = [words for words in _descriptions_of(scene, thing) if not _tells(words, thing, first_kind)]
        if not options:
            continue
        words = rng.choice(options)
        first = _about(alone, rng, first_kind, words)
        unknown = [
            k for k in ("colour", "size", "position") if k != first_kind and not _tells(words, thing, k)
        ]
        if thing.shape not in words.split():
            unknown.append("shape")
        if not unknown:
            continue
        asked = rng.choice(unknown)
        answer, fact = {
            "colour": (f"It is {thing.colour}.", thing.colour),
            "size": (f"It is {thing.size}.", thing.size),
            "position": (f"It is {at(thing)}.", thing.place),
            "shape": (f"It is {article(thing.shape)}.", thing.shape),
        }[asked]
        question = PHRASINGS[f"follow_{asked}"].choose(rng, held_out=held_out)
        return Exchange("follow_up", question, answer, fact, before=(first,))
    return None


def _about(alone: Scene, rng: random.Random, kind: str, words: str) -> Exchange:
    thing = alone.things[0]
    value = {"colour": thing.colour, "size": thing.size, "position": at(thing)}[kind]
    question = PHRASINGS[kind].choose(rng, held_out=False).format(the=f"the {words}")
    fact = thing.place if kind == "position" else value
    return Exchange(kind, question, f"The {words} is {value}.", fact)


def _tells(words: str, thing: Thing, kind: str) -> bool:
    given = set(words.split())
    return bool(given & {"colour": {thing.colour}, "size": {thing.size}, "position": {"at", "in"}}[kind])


KINDS: dict[str, Callable[[Scene, random.Random, bool], Exchange | None]] = {
    "count": count, "count_colour": count_colour, "existence": existence, "colour": colour, "shape": shape,
    "size": size, "position": position, "relation": relation, "follow_up": follow_up, "describe": describe,
    "comparison": comparison, "extreme": extreme, "removal": removal, "absent": absent,
}  # fmt: skip
"""Every kind of question with the function that asks it about a scene; None when the scene has nothing to ask."""


def ask(kind: str, scene: Scene, rng: random.Random, *, held_out: bool = False) -> Exchange | None:
    """One exchange of that kind, or None when this scene does not offer one."""
    return KINDS[kind](scene, rng, held_out)
