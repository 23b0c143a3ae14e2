"""What of a logged conversation is learned: the branch, how far it goes, and the items that come out of it.

The rules, from the top:

1. A private conversation gives nothing.
2. Among versions the shown one is taken, unless an approved or corrected answer lies on another; of several such
   the shown one, then the newest.
3. A bad answer ends the conversation before its question: one that was rejected; one that was stopped, failed or
   left unfinished and not corrected; one rated down and neither corrected nor approved; an empty one.
4. It is exported up to its last good answer that the selection means.
5. A correction stands in place of the original.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from conversations.examples import Example, Item, LoggedConversation, LoggedTurn, Preference, Verdict
from conversations.formats.format import Kind
from conversations.messages import ImageRef, Message

Masked = Callable[[str], str]

FINISHED = ("stop", "length")


@dataclass(frozen=True, slots=True)
class Lessons:
    """What one conversation gives; the reasons of what is left out, and why the rest was cut off, if it was."""

    items: tuple[Item, ...] = ()
    left_out: tuple[str, ...] = ()
    shortened: str | None = None


def lessons(kind: Kind, conversation: LoggedConversation, masked: Masked | None) -> Lessons:
    """The items of this kind. `masked` masks personal data in a system prompt; None: nothing is masked."""
    if conversation.is_private:
        return Lessons(left_out=("private",))
    if kind == "example":
        return _example(conversation, masked)
    tree = _Tree(conversation, masked)
    found = list(tree.preferences() if kind == "preference" else tree.verdicts())
    items = tuple(one for one in found if not isinstance(one, str))
    left_out = tuple(one for one in found if isinstance(one, str))
    return Lessons(items, left_out or (() if items else (f"no_{kind}",)))


def fault(answer: LoggedTurn) -> str | None:
    """Why an answer may not be learned from; None: it may."""
    if answer.review_state == "rejected":
        return "rejected"
    if answer.correction is not None and answer.correction.strip():
        return None
    if answer.finish_reason not in FINISHED:
        return "unfinished"
    if answer.rating == "down" and answer.review_state != "approved":
        return "rated_down"
    return None if answer.text.strip() else "empty"


def branch(turns: Sequence[LoggedTurn]) -> tuple[LoggedTurn, ...]:
    """The turns of the branch that is exported, from the first question on (rule 2)."""
    children: defaultdict[int | None, list[LoggedTurn]] = defaultdict(list)
    for turn in turns:
        children[turn.parent_id].append(turn)
    chosen: set[int] = set()
    if len(children) < len(turns):  # there are versions
        for turn in sorted(turns, key=lambda turn: -turn.id):
            below = any(child.id in chosen for child in children.get(turn.id, ()))
            if turn.role == "user":
                is_chosen = below
            else:
                is_chosen = fault(turn) is None and (below or _is_marked(turn))
            if is_chosen:
                chosen.add(turn.id)
    path: list[LoggedTurn] = []
    parent_id: int | None = None
    while versions := children.get(parent_id):
        turn = versions[0]
        if len(versions) > 1:
            turn = max(versions, key=lambda turn: (turn.id in chosen, turn.is_shown, turn.id))
        path.append(turn)
        parent_id = turn.id
    return tuple(path)


def _is_marked(answer: LoggedTurn) -> bool:
    return answer.review_state == "approved" or answer.correction is not None


def _example(conversation: LoggedConversation, masked: Masked | None) -> Lessons:
    path = branch(conversation.turns)
    good: list[LoggedTurn] = []
    why = None
    for answer in path[1::2]:
        why = fault(answer)
        if why is not None:
            break
        good.append(answer)
    while good and not good[-1].is_meant:
        good.pop()
        why = why or "not_meant"
    if not good:
        return Lessons(left_out=(why or "no_answer",))
    if any(answer.system_prompt != good[0].system_prompt for answer in good):
        return Lessons(left_out=("system_prompt_changed",))
    messages = _messages(path[: 2 * len(good)], masked is not None)
    system = _system(good[0], masked)
    return Lessons((Example(conversation.id, messages, system),), shortened=why)


def _messages(turns: Sequence[LoggedTurn], mask: bool) -> tuple[Message, ...]:
    return tuple(
        Message("assistant", (answer_text(turn, mask),))
        if turn.role == "assistant"
        else _question(turn, mask)
        for turn in turns
    )


def _question(turn: LoggedTurn, mask: bool) -> Message:
    """Pictures first, then the text, as the page sends it to the model."""
    text = original_text(turn, mask)
    pictures = tuple(ImageRef(sha256) for sha256 in turn.images)
    return Message("user", (*pictures, text) if text else pictures)


def answer_text(answer: LoggedTurn, mask: bool) -> str:
    """The right answer as far as it is known: the correction, else what the model said."""
    if answer.correction is None or not answer.correction.strip():
        return original_text(answer, mask)
    return answer.masked_correction if mask and answer.masked_correction is not None else answer.correction


def original_text(turn: LoggedTurn, mask: bool) -> str:
    return turn.masked_text if mask and turn.masked_text is not None else turn.text


def _system(answer: LoggedTurn, masked: Masked | None) -> str:
    return masked(answer.system_prompt) if masked is not None else answer.system_prompt


class _Tree:
    """All versions of a conversation, for items that are about single answers."""

    def __init__(self, conversation: LoggedConversation, masked: Masked | None) -> None:
        self._conversation = conversation
        self._masked = masked
        self._mask = masked is not None
        self._by_id = {turn.id: turn for turn in conversation.turns}
        self._answers: defaultdict[int | None, list[LoggedTurn]] = defaultdict(list)
        for turn in sorted(conversation.turns, key=lambda turn: turn.id):
            if turn.role == "assistant":
                self._answers[turn.parent_id].append(turn)

    def preferences(self) -> Iterator[Preference | str]:
        """A correction over its original; a version with a thumb up over one with a thumb down. A string says
        why a pair is left out."""
        for versions in self._answers.values():
            seen: set[tuple[str, str]] = set()
            for better, worse in self._pairs(versions):
                chosen = answer_text(better, self._mask)
                rejected = original_text(worse, self._mask)
                if (chosen, rejected) in seen:
                    continue
                seen.add((chosen, rejected))
                if chosen.strip() == rejected.strip():
                    yield "same_text"  # also where only personal data differed
                    continue
                context = self._context(better, worse)
                if isinstance(context, str):
                    yield context
                    continue
                name = f"{self._conversation.id}-{better.id}-{worse.id}"
                yield Preference(name, context, chosen, rejected, _system(better, self._masked))

    @staticmethod
    def _pairs(versions: Sequence[LoggedTurn]) -> Iterator[tuple[LoggedTurn, LoggedTurn]]:
        usable = [answer for answer in versions if answer.review_state != "rejected"]
        worse = [answer for answer in usable if _has_whole_text(answer)]
        for answer in worse:
            if answer.is_meant and answer.correction is not None and answer.correction.strip():
                yield answer, answer
        for up in usable:
            for down in worse:
                opposite = up.rating == "up" and down.rating == "down" and fault(up) is None
                if opposite and (up.is_meant or down.is_meant):
                    yield up, down

    def verdicts(self) -> Iterator[Verdict | str]:
        """A rated answer by its thumb; a corrected one is not wanted, and its correction is."""
        for versions in self._answers.values():
            for answer in versions:
                if not answer.is_meant or answer.review_state == "rejected":
                    continue
                sides = list(self._sides(answer))
                context = self._context(answer) if sides else ()
                if isinstance(context, str):
                    yield context
                    continue
                system = _system(answer, self._masked)
                for text, wanted in sides:
                    name = f"{self._conversation.id}-{answer.id}-{'wanted' if wanted else 'unwanted'}"
                    yield Verdict(name, context, text, wanted, system)

    def _sides(self, answer: LoggedTurn) -> Iterator[tuple[str, bool]]:
        if answer.correction is not None and answer.correction.strip():
            yield answer_text(answer, self._mask), True
            if _has_whole_text(answer) and original_text(answer, self._mask) != answer_text(
                answer, self._mask
            ):
                yield original_text(answer, self._mask), False
        elif answer.rating is not None and _has_whole_text(answer):
            yield original_text(answer, self._mask), answer.rating == "up"

    def _context(self, *answers: LoggedTurn) -> tuple[Message, ...] | str:
        """The messages up to the question of these versions; a string where an answer above is bad, or was
        asked with another system prompt."""
        above: list[LoggedTurn] = []
        parent_id = answers[0].parent_id
        while parent_id is not None:
            turn = self._by_id[parent_id]
            above.append(turn)
            parent_id = turn.parent_id
        earlier = [turn for turn in above if turn.role == "assistant"]
        if any(fault(turn) is not None for turn in earlier):
            return "bad_turn_before"
        if len({turn.system_prompt for turn in (*answers, *earlier)}) > 1:
            return "system_prompt_changed"
        return _messages(above[::-1], self._mask)


def _has_whole_text(answer: LoggedTurn) -> bool:
    """A text that broke off teaches to break off, or not to."""
    return answer.finish_reason in FINISHED and bool(answer.text.strip())
