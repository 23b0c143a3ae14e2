"""A conversation as HTML. Everything that a person or a model wrote is escaped here, and only here.

Addresses are relative, so that the page also works behind a proxy's prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app import wording
from app.answer_markup import answer_html, attribute_html, plain_html
from app.judgement_view import correction_html, data_html, thumbs_html, verdict_html
from app.tool_view import tool
from conversations.messages import ImageRef
from conversations.turns import AnswerDetails, Turn

MEASURABLE_MS = 100.0  # what is written in less says nothing about the speed of the writing
PLATE = 240  # the longest side of a picture in the thread, as in the style sheet

_ENDINGS = {
    "length": "The answer reached the token limit. A higher limit is in the settings.",
    "stopped": "Stopped. What had come until then is kept.",
    "interrupted": "Interrupted. What had come until then is kept.",
}


def thread_html(turns: Sequence[Turn]) -> str:
    """All turns, the last one marked so that its tools stay in view."""
    last = len(turns) - 1
    parts = [
        _question(turn) if turn.role == "user" else _reply(turn, last=index == last)
        for index, turn in enumerate(turns)
    ]
    if turns and turns[-1].role == "user":
        parts.append(_unanswered(turns[-1]))
    return "".join(parts)


def _question(turn: Turn) -> str:
    bubble = f'<div class="bubble" dir="auto">{plain_html(turn.text)}</div>' if turn.text else ""
    tools = (
        _versions(turn)
        + tool("copy", "Copy the question", "copy")
        + tool("edit", "Edit the question", "edit")
    )
    return (
        f'<article class="question" data-turn="{turn.id}" data-raw="{attribute_html(turn.text)}">'
        f'<h3 class="unseen">You</h3>{_pictures(turn.images)}{bubble}<div class="tools">{tools}</div></article>'
    )


def _reply(turn: Turn, *, last: bool) -> str:
    details = turn.answer
    state = details.finish_reason if details else "stop"
    text = answer_html(turn.text) if turn.text else ""
    phase = '<p class="phase">Answering</p>' if state == "running" and not turn.text else ""
    tools = "" if state == "running" else _reply_tools(turn)
    classes = "reply last" if last else "reply"
    right = correction_html(turn)
    answer = f'<div class="answer" dir="auto">{phase}{text}</div>'
    if right:
        given = f'<section class="given" aria-label="The model’s answer"><h4>The model’s answer</h4>{answer}</section>'
        answer = f'<div class="beside">{given}{right}</div>'
    return (
        f'<article class="{classes}" data-turn="{turn.id}" data-question="{turn.parent_id}" data-state="{state}" '
        f'data-raw="{attribute_html(turn.text)}"{data_html(turn)}><h3 class="unseen">The model</h3>'
        f"{answer}{_ending(details)}{verdict_html(turn)}{tools}</article>"
    )


def _unanswered(turn: Turn) -> str:
    """A question that was logged and then never asked, because the program ended between the two."""
    return (
        f'<article class="reply last" data-turn="0" data-question="{turn.id}" data-state="interrupted">'
        '<div class="ending"><p>This question was not answered yet.</p>'
        f'<div class="choices">{_choice("retry", "Ask it")}</div></div></article>'
    )


def _pictures(images: Sequence[ImageRef]) -> str:
    """Small pictures by address: nothing of them travels with an update."""
    if not images:
        return ""
    shown = "".join(
        f'<button type="button" class="picture" data-do="enlarge" data-picture="pictures/{image.sha256}" '
        f'aria-label="Enlarge picture {number}"><img src="pictures/{image.sha256}/thumb" alt="Picture {number}" '
        f'{_room(image)} loading="lazy" draggable="false"></button>'
        for number, image in enumerate(images, start=1)
    )
    return f'<div class="pictures">{shown}</div>'


def _room(image: ImageRef) -> str:
    """The room that a picture takes, kept free while it comes: what stands below would jump."""
    if not image.width or not image.height:
        return ""
    scale = min(1.0, PLATE / max(image.width, image.height))
    return f'width="{max(1, round(image.width * scale))}" height="{max(1, round(image.height * scale))}"'


def _versions(turn: Turn) -> str:
    if turn.num_versions < 2:
        return ""
    back, on = turn.version > 1, turn.version < turn.num_versions
    return (
        '<span class="versions">'
        + tool("version", "Earlier version", "left", value="-1", disabled=not back)
        + f'<span class="count">{turn.version}/{turn.num_versions}</span>'
        + tool("version", "Later version", "right", value="1", disabled=not on)
        + "</span>"
    )


def _reply_tools(turn: Turn) -> str:
    return (
        '<div class="tools">'
        + _versions(turn)
        + tool("copy", "Copy the answer", "copy")
        + tool("retry", "Answer again", "retry")
        + thumbs_html(turn)
        + tool("see-prompt", "What does the model see?", "eye", needs="prompt")
        + (f'<span class="measures">{escape(measures(turn.answer))}</span>' if turn.answer else "")
        + "</div>"
    )


def _choice(do: str, label: str, *, first: bool = True) -> str:
    return f'<button type="button" class="choice{" first" if first else ""}" data-do="{do}">{label}</button>'


def _ending(details: AnswerDetails | None) -> str:
    """Why the answer is not whole, and what can be done about it."""
    if details is None or details.finish_reason in ("running", "stop"):
        return ""
    code, words = wording.split_reason(details.error or "")
    if details.finish_reason != "failed":
        words = " ".join(filter(None, (_ENDINGS[details.finish_reason], words)))
    choices = _choice("retry", "Retry")
    if code == wording.CONTEXT_TOO_LONG:
        choices = _choice("anew", "Start a new chat") + _choice(
            "go-on", "Go on without the oldest turns", first=False
        )
    elif code == wording.MESSAGE_TOO_LONG:
        choices = _choice("edit-question", "Edit the question")
    elif details.finish_reason == "length":
        choices = ""
    buttons = f'<div class="choices">{choices}</div>' if choices else ""
    return f'<div class="ending" data-kind="{details.finish_reason}"><p>{escape(words)}</p>{buttons}</div>'


def measures(details: AnswerDetails) -> str:
    """Model, time to first token and speed, as far as they are known."""
    parts = [details.model]
    if details.first_token_ms is not None:
        parts.append(f"first token {details.first_token_ms / 1000:.2f} s")
        speed = tokens_per_second(details)
        if speed is not None:
            parts.append(f"{speed:.1f} tokens/s")
    return " · ".join(filter(None, parts))


def tokens_per_second(details: AnswerDetails) -> float | None:
    """Of the writing alone: the time to the first token is not counted, nor that token.

    None where it was too short to measure: on a busy machine an answer arrives in one piece, and a rate would be that
    of the wire, a hundred thousand tokens a second.
    """
    count, first, whole = details.num_completion_tokens, details.first_token_ms, details.duration_ms
    if count is None or first is None or whole is None or count < 2 or whole - first < MEASURABLE_MS:
        return None
    return (count - 1) * 1000 / (whole - first)
