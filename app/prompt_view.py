"""What the model saw: the prompt of one answer, token by token, as the worker's own renderer gives it.

The conversation comes from the log, the tokens from the worker; nothing is computed here twice. Shown are the prompt
and, tinted, what would be learnt from it: the answers with their end marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Protocol

from app.turns import messages_of
from app.worker_values import ModelPrompt
from conversations.errors import NotFound
from conversations.messages import Message
from conversations.store import ConversationStore
from conversations.turns import Turn

SECONDS = 20.0


class ShowsPrompts(Protocol):
    """The part of WorkerClient that is needed here."""

    def prompt(
        self, messages: Sequence[Message], *, model: str, system_prompt: str | None, timeout_seconds: float
    ) -> ModelPrompt: ...


class PromptView:
    """Shows what an answer was made from; any number of threads may ask."""

    def __init__(self, store: ConversationStore, worker: ShowsPrompts) -> None:
        self._store = store
        self._worker = worker

    def html(self, owner: str, answer_id: int) -> str:
        """The panel's inside. Raises NotFound for what is not theirs or no answer, and WorkerError."""
        *before, answer = self._store.path(owner, answer_id)
        if answer.role != "assistant" or answer.answer is None:
            raise NotFound("Only an answer has a prompt; this is a question.")
        messages = messages_of(tuple(before))
        prompt = self._prompt(messages, answer)
        num_left_out = 0
        # With the oldest turns left out the prompt had fewer tokens, and the log knows how many.
        while len(messages) > 2 and num_asked(prompt) > (
            answer.answer.num_prompt_tokens or len(prompt.token_ids)
        ):
            messages, num_left_out = messages[2:], num_left_out + 2
            prompt = self._prompt(messages, answer)
        addresses = [f"pictures/{image.sha256}/thumb" for message in messages for image in message.images]
        return facts_html(prompt, len(addresses), num_left_out) + tokens_html(prompt, addresses)

    def _prompt(self, messages: Sequence[Message], answer: Turn) -> ModelPrompt:
        details = answer.answer
        answered = (*messages, answer.message) if answer.text.strip() else messages
        return self._worker.prompt(
            answered,
            model=details.model if details else "",
            system_prompt=(details.system_prompt or None) if details else None,
            timeout_seconds=SECONDS,
        )


def num_asked(prompt: ModelPrompt) -> int:
    """How many tokens stood before the answer: up to the last stretch that is trained, or all where nothing is."""
    end = len(prompt.mask)
    while end and not prompt.mask[end - 1]:
        end -= 1
    while end and prompt.mask[end - 1]:
        end -= 1
    return end or len(prompt.mask)


def facts_html(prompt: ModelPrompt, num_pictures: int, num_left_out: int = 0) -> str:
    """A line of numbers."""
    parts = [f"{len(prompt.token_ids):,} tokens"]
    if prompt.context_tokens:
        parts[0] += f" of at most {prompt.context_tokens:,}"
    if num_pictures:
        each = (
            f", {prompt.tokens_per_picture} tokens each"
            if num_pictures > 1
            else f" of {prompt.tokens_per_picture} tokens"
        )
        parts.append(f"{num_pictures} pictures{each}" if num_pictures > 1 else f"1 picture{each}")
    parts.append(f"{sum(prompt.mask):,} trained")
    if prompt.template:
        parts.append(f"template {prompt.template}")
    left_out = f"<p>The oldest {num_left_out} turns were left out to make room.</p>" if num_left_out else ""
    return f'<p class="facts">{escape(" · ".join(parts))}</p>{left_out}'


def tokens_html(prompt: ModelPrompt, pictures: Sequence[str]) -> str:
    """Every token, what is trained tinted; `pictures` are the addresses of small ones, in order."""
    return f'<div class="tokens" dir="auto" tabindex="0">{"".join(_spans(prompt, pictures))}</div>'


def _spans(prompt: ModelPrompt, pictures: Sequence[str]) -> Iterator[str]:
    """One element a token; the tokens of a picture are one, with the picture in it."""
    waiting = list(pictures)
    place = 0
    while place < len(prompt.token_ids):
        if prompt.token_ids[place] == prompt.image_token_id and prompt.tokens_per_picture > 0:
            yield _picture(waiting.pop(0) if waiting else None, prompt.tokens_per_picture)
            place += prompt.tokens_per_picture
            continue
        yield _token(prompt.tokens[place], prompt.token_ids[place], prompt.mask[place])
        place += 1


def _token(text: str, token_id: int, trained: bool) -> str:
    state = ' class="learnt"' if trained else ""
    shown = escape(text).replace("\n", "⏎\n")
    return f'<span{state} title="{token_id}">{shown}</span>'


def _picture(address: str | None, num_tokens: int) -> str:
    shown = f'<img src="{escape(address)}" alt="">' if address else ""
    return f'<span class="seen-picture" title="{num_tokens} tokens">{shown}{num_tokens} tokens</span>'
