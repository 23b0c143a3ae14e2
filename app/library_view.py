"""The review queue as HTML: lines of the list, and one answer with all that a reviewer needs to decide.

Texts are shown as they were written and not as Markdown, since that is what a trainer reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app.answer_markup import attribute_html
from app.library_marks import marked_html
from app.library_trail import moment, person, trail_html
from app.tool_view import icon
from conversations.actions import Action
from conversations.feedback import MAX_NOTE_LENGTH
from conversations.reasons import Reason
from conversations.review import Item
from conversations.turns import Rating

REASON_WORDS: dict[Reason, str] = {
    "wrong": "wrong", "made_up": "made up", "incomplete": "incomplete", "rude": "rude", "too_long": "too long",
    "other": "other",
}  # fmt: skip
_STATES = {"pending": "Open", "approved": "Approved", "rejected": "Rejected"}
_ENDINGS = {
    "length": "cut at the limit",
    "stopped": "stopped",
    "failed": "failed",
    "interrupted": "interrupted",
}
_SNIPPET = 160


def queue_html(items: Sequence[Item]) -> str:
    return "".join(line_html(item) for item in items)


def line_html(item: Item) -> str:
    """One line of the queue."""
    picture = (
        f'<img src="{picture_address(item, 0)}/thumb" alt="" loading="lazy">'
        if item.pictures
        else icon("picture")
    )
    answer = item.correction if item.correction is not None else item.answer
    return (
        f'<li class="entry" data-answer="{item.id}" data-state="{item.state}" data-at="{item.answered_at.isoformat()}">'
        f'<button type="button" class="pick" data-do="library-pick"><span class="tiny">{picture}</span>'
        f'<span class="gist"><span class="asked" dir="auto">{_short(item.question) or "(no words)"}</span>'
        f'<span class="said" dir="auto">{_short(answer) or "(empty)"}</span></span>{_signs(item)}</button></li>'
    )


def picture_address(item: Item, place: int) -> str:
    """By the answer and not by the picture: so the door knows whether it is private."""
    return f"library/answers/{item.id}/pictures/{place}"


def item_html(item: Item, actions: Sequence[Action], me: str) -> str:
    """One answer, whole."""
    return (
        f'<article class="case" data-answer="{item.id}" data-state="{item.state}" '
        f'data-rating="{item.rating or ""}" data-tags="{escape(", ".join(item.tags))}">{_pictures(item)}'
        f'<div class="read">{_facts(item, me)}{_conversation(item, me)}'
        f'<h3>Question</h3><div class="text" dir="auto">'
        f"{marked_html(item.question, item.question_personal, item.question_hits)}</div>"
        f"<h3>Answer{_ending(item)}</h3>"
        f'<div class="text answer-text" data-raw="{attribute_html(item.answer)}" dir="auto">'
        f"{marked_html(item.answer, item.answer_personal, item.answer_hits) or '<i class=faint>empty</i>'}</div>"
        f"{_correction(item)}{_feedback(item)}{_tags(item)}{_deeds(item)}"
        f'<details class="past" open><summary>Who did what</summary>{trail_html(actions, me)}</details></div></article>'
    )


def _pictures(item: Item) -> str:
    if not item.pictures:
        return '<div class="plates none"><p class="faint">No picture</p></div>'
    shown = "".join(
        f'<button type="button" class="plate" data-do="enlarge" data-picture="{picture_address(item, place)}" '
        f'aria-label="Enlarge picture {place + 1}"><img src="{picture_address(item, place)}" alt="Picture {place + 1}" '
        f'width="{ref.width or 1}" height="{ref.height or 1}"></button>'
        for place, ref in enumerate(item.pictures)
    )
    return f'<div class="plates">{shown}</div>'


def _facts(item: Item, me: str) -> str:
    state = f'<span class="badge" data-state="{item.state}">{_STATES[item.state]}</span>'
    asked_by = f"asked by {escape(person(item.owner, me))}"
    return (
        f'<p class="facts">{state}<span>{escape(item.model) or "unknown model"}</span><span>{asked_by}</span>'
        f"<span>{moment(item.answered_at)}</span></p>"
    )


def _conversation(item: Item, me: str) -> str:
    """What stands before it, and the way to it: to the asker alone, since nobody else may open it."""
    parts = []
    if item.num_turns_above:
        questions = item.num_turns_above // 2
        words = "1 question" if questions == 1 else f"{questions} questions"
        parts.append(f"After {words} before it in “{escape(item.title)}”.")
    if item.owner == me:
        parts.append(
            '<button type="button" class="link" data-do="library-open" '
            f'data-conversation="{escape(item.conversation_id)}" data-turn="{item.id}" aria-keyshortcuts="o">'
            "Open the conversation<kbd>o</kbd></button>"
        )
    return f'<p class="faint">{" ".join(parts)}</p>' if parts else ""


def _ending(item: Item) -> str:
    words = _ENDINGS.get(item.finish_reason)
    return f' <span class="faint">{words}</span>' if words else ""


def _correction(item: Item) -> str:
    if item.correction is None:
        return '<div class="correction" data-none></div>'
    return (
        f'<div class="correction" data-raw="{attribute_html(item.correction)}"><h3>Correction</h3>'
        f'<div class="text right" dir="auto">{marked_html(item.correction, item.correction_personal)}</div></div>'
    )


def _feedback(item: Item) -> str:
    """The rating, to be read and to be changed: two thumbs, with a thumb down what was wrong, and a note."""

    def thumb(rating: Rating, words: str, key: str) -> str:
        pressed = "true" if item.rating == rating else "false"
        return (
            f'<button type="button" class="choice thumb" data-do="library-rate" data-value="{rating}" title="{words}" '
            f'aria-label="{words}" aria-pressed="{pressed}" aria-keyshortcuts="{key}">{icon(rating)}<kbd>{key}</kbd>'
            "</button>"
        )

    reasons = "".join(
        f'<label class="reason"><input type="checkbox" name="reason" value="{reason}" aria-keyshortcuts="{number}"'
        f"{' checked' if reason in item.reasons else ''}>{words}<kbd>{number}</kbd></label>"
        for number, (reason, words) in enumerate(REASON_WORDS.items(), start=1)
    )
    why = f'<fieldset class="reasons" aria-label="What was wrong">{reasons}</fieldset>'
    note = (
        f'<input type="text" name="note" value="{escape(item.note)}" maxlength="{MAX_NOTE_LENGTH}" dir="auto" '
        'placeholder="A note" aria-label="A note on this rating">'
    )
    if item.rating is None:
        note = f'<q dir="auto">{escape(item.note)}</q>' if item.note else ""
    return (
        f'<form class="judging" autocomplete="off" aria-label="Rating">{thumb("up", "A good answer", "g")}'
        f"{thumb('down', 'A bad answer', 'b')}{why if item.rating == 'down' else ''}{note}</form>"
    )


def _tags(item: Item) -> str:
    own = "".join(f'<span class="tag" dir="auto">{escape(tag)}</span>' for tag in item.tags)
    beside = "".join(
        f'<span class="tag of-conversation" title="A tag of the conversation" dir="auto">{escape(tag)}</span>'
        for tag in item.conversation_tags
    )
    return f'<p class="tags">{own}{beside}</p>' if own or beside else ""


def _deeds(item: Item) -> str:
    def deed(do: str, words: str, key: str, kind: str = "", pressed: bool | None = None) -> str:
        held = "" if pressed is None else f' aria-pressed="{"true" if pressed else "false"}"'
        return (
            f'<button type="button" class="choice {kind}" data-do="{do}" aria-keyshortcuts="{key}"{held}>{words}'
            f"<kbd>{key}</kbd></button>"
        )

    return (
        '<div class="deeds">'
        + deed("library-approve", "Approve", "a", "yes", item.state == "approved")
        + deed("library-reject", "Reject", "r", "no", item.state == "rejected")
        + deed("library-edit", "Edit" if item.correction is not None else "Write the right answer", "e")
        + deed("library-tag", "Tag", "t")
        + "</div>"
    )


def _signs(item: Item) -> str:
    signs = []
    if item.question_personal or item.answer_personal or item.correction_personal:
        signs.append('<span class="sign personal" title="Personal data">@</span>')
    if item.correction is not None:
        signs.append(f'<span class="sign" title="Corrected">{icon("edit")}</span>')
    if item.rating is not None:
        rated = f'data-rating="{item.rating}" title="Rated {item.rating}"'
        signs.append(f'<span class="sign" {rated}>{icon(item.rating)}</span>')
    return (
        f'<span class="signs">{"".join(signs)}<span class="dot" title="{_STATES[item.state]}"></span></span>'
    )


def _short(text: str) -> str:
    flat = " ".join(text[: 2 * _SNIPPET].split())
    return escape(flat if len(flat) <= _SNIPPET else f"{flat[:_SNIPPET]}…")
