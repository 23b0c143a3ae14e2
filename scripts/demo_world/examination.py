"""The examination: questions about scenes that training never saw, marked by the facts that the answers state."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from conversations.messages import ImageRef, Message
from scripts.demo_world import facts
from scripts.demo_world.language import KINDS, Exchange, ask
from scripts.demo_world.scene import COLOURS, SHAPES, SIZES, Scene, sample_scene
from scripts.demo_world.wording import GREETINGS, NO_PICTURE_ANSWER

SEEDS_FROM = 900_000_000
HELD_OUT_SHARE = 0.3
SMALL_TALK = "small_talk"
ALL_KINDS = (*KINDS, SMALL_TALK)
_FEWEST_THINGS = {"relation": 2, "comparison": 2, "extreme": 2}
_THINGS = frozenset((*COLOURS, *SHAPES, *SIZES, "shape", "one"))
_PICTURE = ImageRef("0" * 64)


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its scene (None: no picture), the exchange with the right answer, and whether the wording
    is one that training never saw."""

    kind: str
    scene: Scene | None
    exchange: Exchange
    held_out: bool

    def messages(self) -> tuple[Message, ...]:
        """What is asked: the picture with the first question, right answers to the earlier ones, the question."""
        opening: tuple[ImageRef, ...] = () if self.scene is None else (_PICTURE,)
        asked: list[Message] = []
        for exchange in (*self.exchange.before, self.exchange):
            asked += [
                Message("user", (*opening, exchange.question)),
                Message("assistant", (exchange.answer,)),
            ]
            opening = ()
        return tuple(asked[:-1])


@dataclass(frozen=True, slots=True)
class Mark:
    """One kind's result: scores are 0 to 1, `majority` is what the best constant answer would have scored."""

    kind: str
    num_questions: int
    score: float
    held_out_score: float
    majority: float


def questions(num_per_kind: int, seeds_from: int = SEEDS_FROM) -> Iterator[Question]:
    """The same number of questions of every kind; scenes uniform over 1 to 4 things where the kind allows it."""
    for kind_number, kind in enumerate(ALL_KINDS):
        for number in range(num_per_kind):
            seed = seeds_from + kind_number * 1_000_000 + number * 100
            yield _question(kind, number, seed)


def _question(kind: str, number: int, seed: int) -> Question:
    rng = random.Random(f"examination-{seed}")
    held_out = rng.random() < HELD_OUT_SHARE
    if kind == SMALL_TALK:
        return Question(kind, None, _small_talk(rng, held_out), held_out)
    fewest = _FEWEST_THINGS.get(kind, 1)
    num_things = fewest + number % (5 - fewest)
    wanted = _wanted(kind, number // 4)
    for attempt in range(10_000):
        scene = sample_scene(seed + attempt * 10_000_000_000, num_things=num_things)
        exchange = _ask(kind, scene, rng, held_out, wanted)
        if exchange is not None and wanted in (None, exchange.fact):
            return Question(kind, scene, exchange, held_out)
    raise RuntimeError(f"No scene of {num_things} things lets me ask a question of kind {kind}.")


def _wanted(kind: str, number: int) -> str | None:
    """Yes and no, and the four sides, in turn, so that they are balanced."""
    answers = {"existence": ("yes", "no"), "relation": facts.SIDES}.get(kind)
    return answers[number % len(answers)] if answers else None


def _ask(kind: str, scene: Scene, rng: random.Random, held_out: bool, wanted: str | None) -> Exchange | None:
    if kind == "absent" and rng.random() < 0.5:
        # Half of these ask the same way about what is there: whoever always denies gets half at most.
        return ask(rng.choice(("colour", "size", "position", "shape")), scene, rng, held_out=held_out)
    return ask(kind, scene, rng, held_out=held_out)


def _small_talk(rng: random.Random, held_out: bool) -> Exchange:
    if rng.random() < 0.3:
        exchange = None
        while exchange is None:
            exchange = ask("colour", sample_scene(rng.randrange(1000)), rng, held_out=held_out)
        return Exchange(SMALL_TALK, exchange.question, NO_PICTURE_ANSWER, NO_PICTURE_ANSWER)
    wordings, answer = rng.choice(GREETINGS)
    said = wordings[-1] if held_out else rng.choice(wordings[:-1])
    return Exchange(SMALL_TALK, said, answer, answer)


def score(question: Question, answer: str) -> float:
    """1 when the answer states the fact and nothing that was not asked, else 0; a description gets the F-measure of
    the placed things it names."""
    fact = question.exchange.fact
    if question.kind == "describe":
        return _f_measure(facts.placed_things(answer), _listed(fact))
    return float(_stated(question.kind, fact, answer) == fact and _of_what_was_asked(question, answer))


def _of_what_was_asked(question: Question, answer: str) -> bool:
    """Whether the answer is about the things of the question: what it names beside the fact, the question names too."""
    exchange = question.exchange
    if question.kind == "relation":
        subjects = [word for word in facts.words(facts.conclusion(answer)) if word in _THINGS]
        return subjects == [word for word in facts.words(exchange.question) if word in _THINGS]
    if question.kind in ("removal", SMALL_TALK):
        return True  # the whole answer is the fact
    asked = " ".join((*(earlier.question for earlier in exchange.before), exchange.question))
    fact = facts.named(str(exchange.fact)) if isinstance(exchange.fact, str) else _words_of(exchange.fact)
    return facts.named(answer) <= facts.named(asked) | fact


def _words_of(fact: facts.Fact) -> frozenset[str]:
    return frozenset(word for thing in fact for word in thing) if isinstance(fact, frozenset) else frozenset()


def _stated(kind: str, fact: facts.Fact, answer: str) -> facts.Fact | None:
    readers: dict[str, Callable[[str], facts.Fact | None]] = {
        "count": facts.number, "count_colour": facts.number, "existence": facts.yes_or_no,
        "relation": facts.side, "comparison": _larger, SMALL_TALK: str.strip,
        "extreme": lambda said: frozenset(("", colour, shape) for _, colour, shape in facts.things(said)),
        "removal": _remaining,
    }  # fmt: skip
    if kind in readers:
        return readers[kind](answer)
    if str(fact).startswith("no "):
        return facts.denied(answer)
    return facts.attribute(answer, facts.attribute_kind(fact))


def _larger(answer: str) -> str | None:
    said = facts.words(answer)
    return " ".join(said[: said.index("is")]) if "is" in said and said[-1] == "larger" else None


def _remaining(answer: str) -> frozenset[tuple[str, ...]] | None:
    named, nothing = facts.things(answer), "nothing" in facts.words(answer)
    return None if bool(named) == nothing else named


def _f_measure(said: frozenset[tuple[str, ...]], true: frozenset[tuple[str, ...]]) -> float:
    return 2 * len(said & true) / (len(said) + len(true)) if said or true else 1.0


def mark(asked: Sequence[Question], answers: Sequence[str]) -> list[Mark]:
    """A mark for every kind, in the order of `ALL_KINDS`."""
    by_kind: dict[str, list[tuple[Question, float]]] = defaultdict(list)
    for question, answer in zip(asked, answers, strict=True):
        by_kind[question.kind].append((question, score(question, answer)))
    marks = []
    for kind, results in by_kind.items():
        held_out = [points for question, points in results if question.held_out]
        marks.append(
            Mark(
                kind, len(results), sum(points for _, points in results) / len(results),
                sum(held_out) / len(held_out) if held_out else float("nan"),
                _majority([question for question, _ in results]),
            )
        )  # fmt: skip
    return marks


def _majority(asked: list[Question]) -> float:
    """What the most frequent right answer scores when given to every question of the kind."""
    facts_of = Counter(question.exchange.fact for question in asked)
    fact, times = facts_of.most_common(1)[0]
    if asked[0].kind != "describe":
        return times / len(asked)
    scores = [_f_measure(_listed(fact), _listed(question.exchange.fact)) for question in asked]
    return sum(scores) / len(scores)


def _listed(fact: facts.Fact) -> frozenset[tuple[str, ...]]:
    assert isinstance(fact, frozenset), f"a description's fact lists things, and this is {fact!r}"
    return fact


def table(marks: Sequence[Mark]) -> str:
    """The marks as Markdown, a row a kind and a last row for all."""
    rows = [
        "| kind of question | questions | right | right, wording never seen | majority answer |",
        "|---|--:|--:|--:|--:|",
    ]
    for item in marks:
        rows.append(
            f"| {item.kind.replace('_', ' ')} | {item.num_questions} | {item.score:.1%} | {item.held_out_score:.1%} "
            f"| {item.majority:.1%} |"
        )
    total = sum(item.num_questions for item in marks)
    overall = sum(item.score * item.num_questions for item in marks) / total
    majority = sum(item.majority * item.num_questions for item in marks) / total
    rows.append(f"| **all** | **{total}** | **{overall:.1%}** | | **{majority:.1%}** |")
    return "\n".join(rows)
