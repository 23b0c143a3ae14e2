"""POST /v1/prompt: what a conversation becomes for the model, with the mask of what it is trained on."""

from __future__ import annotations

from typing import Any

import pytest

from model.door.readiness import Readiness
from tests.model.door.asking import Door, ready
from tests.model.door.scripted_engine import ScriptedEngine
from tests.model.door.test_chat_request import encoded, picture, user

ANSWERED = [user("Hi"), {"role": "assistant", "content": "Yo"}]


def prompt_of(messages: object, **more: Any) -> Any:
    response = Door(ready(ScriptedEngine())).post("/v1/prompt", {"messages": messages, **more})
    return response.json() if response.status_code == 200 else response.json()["error"]


def test_an_open_conversation_is_rendered_ready_to_be_answered_with_nothing_trained() -> None:
    told = prompt_of([user("Hi")])
    assert (told["prompt"], told["tokens"]) == ("Hi?", ["H", "i", "?"])
    assert told["token_ids"] == [ord(letter) for letter in "Hi?"] and not any(told["mask"])
    assert (told["num_tokens"], told["num_trained"], told["model"]) == (3, 0, "scripted")


def test_an_answered_conversation_is_rendered_as_it_is_trained_on() -> None:
    told = prompt_of([{"role": "system", "content": "S"}, *ANSWERED])
    assert told["prompt"] == "SHiYo" and told["mask"] == [False, False, False, True, True]
    assert told["num_trained"] == 2 and told["template"] == "llava_v0"


def test_pictures_are_counted_and_how_many_tokens_each_takes_is_told() -> None:
    told = prompt_of([user([picture(encoded()), {"type": "text", "text": "x"}])])
    assert (told["num_pictures"], told["tokens_per_picture"], told["image_token_id"]) == (1, 16, 7)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "at least one message"),
        ([{"role": "assistant", "content": "Yo"}], "user's turn"),
        ([user([picture("http://example.com/a.png")])], "remote pictures"),
        (None, "must be a list"),
    ],
)
def test_what_is_no_conversation_is_refused_in_words(messages: object, words: str) -> None:
    assert words in prompt_of(messages)["message"]


def test_another_models_prompt_is_not_found() -> None:
    assert prompt_of(ANSWERED, model="gpt")["code"] == "model_not_found"


def test_without_the_token_or_before_the_model_is_there_nothing_is_rendered() -> None:
    door = Door(ready(ScriptedEngine()), "secret")
    assert door.post("/v1/prompt", {"messages": ANSWERED}).status_code == 200
    assert door.post("/v1/prompt", {"messages": ANSWERED}, {"Authorization": "Bearer no"}).status_code == 401
    assert Door(Readiness("x")).post("/v1/prompt", {"messages": ANSWERED}).status_code == 503


def test_a_template_that_lacks_a_token_is_told_in_its_words() -> None:
    readiness = ready(ScriptedEngine())

    def lacking(*_: object, **__: object) -> Any:
        raise ValueError("The prompt needs the special token <im_start>.")

    object.__setattr__(readiness.served, "render", lacking)
    told = Door(readiness).post("/v1/prompt", {"messages": ANSWERED})
    assert told.status_code == 400 and "<im_start>" in told.json()["error"]["message"]
