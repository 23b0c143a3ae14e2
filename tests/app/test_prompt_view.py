"""What the model saw, out of the log: with a worker whose tokens are characters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from app.prompt_view import PromptView
from app.turns import Ask, Choices, Turns
from app.worker_values import ModelPrompt
from conversations.errors import NotFound
from conversations.messages import ImageRef, Message
from conversations.store import ConversationStore
from tests.app.scripted_worker import ScriptedWorker

IMAGE = 7


@dataclass
class CharacterPrompts:
    """A token a character, two a picture; the assistant's are trained, and a mark of one untrained token ends each."""

    asked: list[tuple[tuple[Message, ...], str, str | None]] = field(default_factory=list)

    def prompt(
        self, messages: Sequence[Message], *, model: str, system_prompt: str | None, timeout_seconds: float
    ) -> ModelPrompt:
        self.asked.append((tuple(messages), model, system_prompt))
        tokens: list[tuple[int, str, bool]] = [(1, "<s>", False)]
        for message in messages:
            for part in message.content:
                if isinstance(part, ImageRef):
                    tokens += [(IMAGE, "<image>", False)] * 2
                else:
                    tokens += [(ord(letter), letter, message.role == "assistant") for letter in part]
            tokens.append((10, "\n", False))
        ids, texts, mask = zip(*tokens, strict=True)
        return ModelPrompt("", ids, texts, mask, IMAGE, 2, 1024, model, "llava_v0")


@pytest.fixture
def prompts() -> CharacterPrompts:
    return CharacterPrompts()


@pytest.fixture
def view(store: ConversationStore, prompts: CharacterPrompts) -> PromptView:
    return PromptView(store, prompts)


def answered(
    turns: Turns, text: str, *pictures: ImageRef, after: str | None = None, **choices: object
) -> tuple[str, int]:
    """The conversation and the id of the answer."""
    updates = list(turns.run("user:ann", Ask(after, text, pictures, text), Choices(**choices)))  # type: ignore[arg-type]
    return updates[-1].conversation_id, updates[-1].answer_id


def test_the_prompt_is_shown_with_what_is_learnt_marked_and_nothing_is_markup(
    view: PromptView, turns: Turns, prompts: CharacterPrompts
) -> None:
    _, answer_id = answered(turns, "<b>&", system_prompt="Be kind.")
    shown = view.html("user:ann", answer_id)
    assert "<b>" not in shown and ">&lt;</span>" in shown and ">⏎\n</span>" in shown
    learnt = "".join(re.findall(r'class="learnt" title="\d+">([^<]*)<', shown))
    assert learnt == "A red circle."
    assert prompts.asked[0][1:] == ("scripted", "Be kind.")


def test_how_long_it_is_and_what_is_in_it_stands_above(
    view: PromptView, turns: Turns, picture: ImageRef
) -> None:
    _, answer_id = answered(turns, "Hm?", picture)
    shown = view.html("user:ann", answer_id)
    assert "21 tokens of at most 1,024 · 1 picture of 2 tokens · 13 trained · template llava_v0" in shown
    assert f'src="pictures/{picture.sha256}/thumb"' in shown and shown.count("seen-picture") == 1
    assert "&lt;image&gt;" not in shown


def test_turns_that_were_left_out_are_left_out_here_too(
    view: PromptView, turns: Turns, worker: ScriptedWorker, prompts: CharacterPrompts
) -> None:
    """The log knows how many tokens the prompt had: the scripted worker says 40."""
    conversation_id, _ = answered(turns, "x" * 30)
    _, answer_id = answered(turns, "And?", after=conversation_id)
    shown = view.html("user:ann", answer_id)
    assert "The oldest 2 turns were left out" in shown and "xxx" not in shown.replace("</span>", "")
    assert [len(messages) for messages, _, _ in prompts.asked] == [4, 2]


def test_a_follow_up_is_shown_with_all_that_was_before_it(view: PromptView, turns: Turns) -> None:
    conversation_id, _ = answered(turns, "One")
    _, answer_id = answered(turns, "Two", after=conversation_id)
    assert "left out" not in view.html("user:ann", answer_id)


def test_what_is_anothers_or_no_answer_is_not_found(
    view: PromptView, turns: Turns, store: ConversationStore
) -> None:
    conversation_id, answer_id = answered(turns, "One")
    question_id = store.load("user:ann", conversation_id).shown[0].id
    for owner, turn_id in (("user:bob", answer_id), ("user:ann", question_id), ("user:ann", 10**9)):
        with pytest.raises(NotFound):
            view.html(owner, turn_id)
