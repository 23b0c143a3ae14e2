"""From what went wrong to a sentence that tells the person what happened and what to do.

A failed answer keeps its reason in the log as `code: sentence`; the code tells the page which choices to offer.
"""

from __future__ import annotations

from app.worker_client import (
    ContextTooLong,
    ModelNotFound,
    PictureNotAccepted,
    WorkerBusy,
    WorkerDied,
    WorkerEnding,
    WorkerError,
    WorkerLoadFailed,
    WorkerLoading,
    WorkerOutOfMemory,
    WorkerProtocolError,
    WorkerTimeout,
    WorkerUnauthorized,
    WorkerUnreachable,
)
from app.worker_process import WorkerState
from conversations.errors import LogError

CONTEXT_TOO_LONG = "context_length_exceeded"
MESSAGE_TOO_LONG = "message_too_long"
PAGE_LEFT = "page_left"

_CODES: tuple[tuple[type[WorkerError], str], ...] = (
    (ContextTooLong, CONTEXT_TOO_LONG),
    (WorkerLoading, "loading"),
    (WorkerLoadFailed, "load_failed"),
    (WorkerOutOfMemory, "out_of_memory"),
    (WorkerBusy, "busy"),
    (WorkerEnding, "ended"),
    (WorkerUnauthorized, "unauthorized"),
    (ModelNotFound, "model_not_found"),
    (PictureNotAccepted, "invalid_picture"),
    (WorkerTimeout, "timeout"),
    (WorkerDied, "died"),
    (WorkerUnreachable, "unreachable"),
    (WorkerProtocolError, "protocol"),
)

NOTHING_TO_SEND = "Nothing to send yet: write a question or add a picture."
FORGED = "The page sent something that it never would; reload it and try again."
NO_COOKIE = "This browser has no visitor's cookie; allow cookies for this page and reload it."
TOO_MANY_UPLOADS = "Too many pictures are being sent in just now; add this one again in a moment."
TOO_MANY_FILES = "Too many conversations are being read or written as files just now; try again in a moment."
TOO_MANY_DRAFTS_OF_ALL = (
    "More pictures wait to be sent than this program keeps for all its visitors; add this one again later."
)
LEFT = "The page was closed or reloaded while this was being written."


def reason_of(error: Exception, *, alone: bool = False) -> str:
    """`code: sentence` for an answer that failed. `alone`: the question had no earlier turns before it."""
    code = MESSAGE_TOO_LONG if alone and isinstance(error, ContextTooLong) else code_of(error)
    return f"{code}: {sentence(error, alone=alone)}"


def code_of(error: Exception) -> str:
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return "log" if isinstance(error, LogError) else "internal"


def broken_off(error: BaseException | None) -> str:
    """`code: sentence` for an answer that ended with the thread, or in no way that is known."""
    kind = type(error).__name__ if error is not None else "without an error"
    return f"internal: The program broke this answer off ({kind}). What had come is kept; press Retry when it is back."


def split_reason(reason: str) -> tuple[str, str]:
    """The code and the sentence of a logged reason; ("", reason) where it has no code."""
    code, colon, words = reason.partition(": ")
    return (code, words) if colon and " " not in code else ("", reason)


def sentence(error: Exception, *, alone: bool = False) -> str:
    """What happened and what to do, in one or two sentences."""
    if isinstance(error, ContextTooLong):
        return _too_long(error, alone)
    if isinstance(error, WorkerLoading):
        return f"The model is still being loaded ({error.fraction:.0%}). The question is kept; press Retry in a moment."
    if isinstance(error, WorkerLoadFailed):
        return f"The model could not be loaded: {_ended(error)} Fix this and restart the program."
    if isinstance(error, WorkerOutOfMemory):
        return f"The model ran out of memory{_of_how_much(error)}. Use fewer or smaller pictures, or start a new chat."
    if isinstance(error, WorkerBusy):
        after = f" in {error.retry_after_seconds:.0f} s" if error.retry_after_seconds else " in a moment"
        return f"Too many questions are waiting for the model. Press Retry{after}."
    if isinstance(error, WorkerUnauthorized):
        return "The worker does not accept this page's token; start the page with the right --worker-token."
    if isinstance(error, WorkerEnding):
        why = error.message.strip().rstrip(".") or "it did not say why"
        return f"The model was ended while it answered ({why}). What had come is kept; press Retry once it is back."
    if isinstance(error, WorkerDied):
        return "The model's process ended while it was answering. What had come is kept; press Retry once it is back."
    if isinstance(error, WorkerUnreachable):
        return "The model's process cannot be reached. The question is kept; press Retry once it is back."
    if isinstance(error, WorkerTimeout):
        return f"The model sent nothing for {error.seconds:g} seconds. The question is kept; press Retry."
    if isinstance(error, WorkerError | LogError):
        return _ended(error)
    return (
        f"The program met an error that it does not know ({type(error).__name__}). What you wrote is kept: "
        "try it again; if it happens once more, the program's log says where."
    )


def _of_how_much(error: WorkerOutOfMemory) -> str:
    """At how many tokens and pictures, where the worker says so."""
    tokens, pictures = error.details.get("num_tokens"), error.details.get("num_pictures")
    if not isinstance(tokens, int) or not isinstance(pictures, int):
        return " on this question"
    return f" at {tokens:,} tokens and {pictures} {'picture' if pictures == 1 else 'pictures'}"


def _too_long(error: ContextTooLong, alone: bool) -> str:
    sizes = (
        f"{error.prompt_tokens:,} tokens, and the model reads at most {error.context_tokens:,}"
        if error.prompt_tokens is not None and error.context_tokens is not None
        else "more than the model can read"
    )
    if alone:
        return (
            f"This message is too long: with its pictures it has {sizes}. "
            "Nothing was cut; shorten it and send it again."
        )
    return (
        f"This conversation has become too long: it has {sizes}. "
        "Start a new chat, or go on without its oldest turns."
    )


def worker_state(state: WorkerState) -> str:
    """The local worker's state in a few words."""
    if state.phase == "starting":
        return "The model is starting"
    if state.phase == "loading":
        return state.reason or f"The model is loading, {state.fraction:.0%}"
    if state.phase == "ready":
        return "Ready"
    if state.phase == "restarting":
        after = f" in {max(1, round(state.restart_in_seconds))} s" if state.restart_in_seconds > 0 else ""
        return f"The model is restarting{after}" + (f": {state.reason}" if state.reason else "")
    if state.phase == "paused":
        return state.reason or "The model is paused"
    if state.phase == "stopped":
        return "The model is stopped"
    return f"The model failed: {state.reason or 'no reason was given'}"


def too_many_bytes(limit: int) -> str:
    return f"This file is too large: pictures may have at most {limit / 1_000_000:.0f} MB."


def too_slow(seconds: float) -> str:
    return f"This picture took longer than {seconds:.0f} seconds to arrive; add a smaller one, or use a faster line."


def too_many_drafts(num_pictures: int, num_bytes: int, of_address: bool) -> str:
    whose = " from your network" if of_address else ""
    return (
        f"At most {num_pictures} pictures, or {num_bytes / 1_000_000:.0f} MB, may wait to be sent{whose}; "
        "send some of them, or add this one tomorrow."
    )


def too_many_answers(limit: int, of_address: bool) -> str:
    whose = "for your network" if of_address else "for you"
    return f"At most {limit} answers are written {whose} at the same time; wait for one, or stop one, and send again."


def too_many_uploads(limit: int, of_address: bool) -> str:
    whose = "from your network" if of_address else "from you"
    return f"At most {limit} pictures are taken {whose} at the same time; add this one again in a moment."


def too_many_files(limit: int, of_address: bool) -> str:
    whose = "for your network" if of_address else "for you"
    return (
        f"At most {limit} conversations are read or written as files {whose} at once; try again in a moment."
    )


def file_too_large(limit: int) -> str:
    return f"This file is too large: a conversation's may have at most {limit / 1_000_000:.0f} MB."


def file_too_slow(seconds: float) -> str:
    return f"This file took longer than {seconds:.0f} seconds to arrive; use a faster line."


def too_many_logins(seconds: int) -> str:
    return f"Too many wrong passwords; the next try is possible in {seconds} {'second' if seconds == 1 else 'seconds'}."


def left_out(num_turns: int) -> str:
    """What was left out of the prompt when a person chose to go on without the oldest turns."""
    turns = "turn was" if num_turns == 1 else f"{num_turns} turns were"
    return f"The oldest {turns} left out to make room."


def _ended(error: Exception) -> str:
    words = str(error).strip()
    return words if words.endswith((".", "!", "?")) else f"{words}."
