"""The real worker in its own process, asked over HTTP by the official openai client."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from app.worker_process import WorkerProcess
from tests.model.asking_worker import data_url, picture, user


def test_the_openai_client_lists_the_model(other: openai.OpenAI) -> None:
    assert [model.id for model in other.models.list()] == ["tiny"]
    assert other.models.retrieve("tiny").id == "tiny"


def test_the_openai_client_gets_a_whole_answer_about_a_picture(other: openai.OpenAI) -> None:
    answer = other.chat.completions.create(
        model="tiny", messages=user("What is it?", picture(data_url("red"))), temperature=0, max_tokens=12
    )
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage is not None and answer.usage.completion_tokens <= 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_openai_client_streams_the_same_answer_with_its_usage(other: openai.OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "tiny", "messages": user(picture(data_url("red")), "What is it?"), "temperature": 0, "max_tokens": 12
    }  # fmt: skip
    whole = other.chat.completions.create(**asked)
    chunks = list(other.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == whole.choices[0].finish_reason and not any(reasons[:-1])
    assert chunks[-1].usage == whole.usage


def test_a_seed_gives_the_same_answer_again_and_a_stop_text_ends_it(other: openai.OpenAI) -> None:
    def ask(**options: Any) -> Any:
        answer = other.chat.completions.create(
            model="tiny", messages=user("Tell me"), temperature=1.0, top_p=0.9, max_tokens=40, **options
        )
        return answer.choices[0]

    first = ask(seed=5).message.content
    assert ask(seed=5).message.content == first != ask(seed=6).message.content
    stop = first[3:5]
    stopped = ask(seed=5, stop=["never to be seen", stop])
    assert stopped.message.content == first[: first.index(stop)] and stopped.finish_reason == "stop"


def test_the_order_of_picture_and_question_is_kept(other: openai.OpenAI) -> None:
    def ask(*parts: str | dict[str, Any]) -> str | None:
        answer = other.chat.completions.create(
            model="tiny", messages=user(*parts), temperature=0, max_tokens=20
        )
        return answer.choices[0].message.content

    red = picture(data_url("red"))
    assert ask("What is it?", red) != ask(red, "What is it?")


def test_a_whole_conversation_with_a_system_prompt_is_answered(other: openai.OpenAI) -> None:
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        *user("And this?", picture(data_url("blue")), picture(data_url("green"))),
    ]
    assert (
        other.chat.completions.create(model="tiny", messages=messages, max_tokens=3).choices[0].finish_reason
    )


def test_a_wrong_token_is_an_authentication_error(worker: WorkerProcess) -> None:
    with (
        openai.OpenAI(base_url=f"{worker.base_url}/v1", api_key="guessed", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        stranger.chat.completions.create(model="tiny", messages=user("Hi"))
    assert refused.value.code == "unauthorized"


def test_another_model_is_not_found(other: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="ask for 'tiny'") as refused:
        other.chat.completions.create(model="gpt-4", messages=user("Hi"))
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
def test_too_long_a_conversation_is_refused_with_the_counts(other: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        other.chat.completions.create(model="tiny", messages=user("long " * 3000), stream=stream)
    assert refused.value.code == "context_length_exceeded"
    body: Any = refused.value.body
    assert body["prompt_tokens"] > body["context_tokens"] == 2048


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"n": 2}, "invalid_request", "one answer"),
        ({"messages": user(picture("http://example.com/a.png"))}, "invalid_picture", "remote pictures"),
        ({"messages": user(picture("data:image/png;base64,AAAA"))}, "invalid_picture", "accepted"),
        ({"messages": user("a\0b")}, "invalid_request", "NUL"),
        ({"temperature": 9}, "invalid_request", "temperature is 9"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    other: openai.OpenAI, body: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=words) as refused:
        other.chat.completions.create(**{"model": "tiny", "messages": user("Hi"), **body})
    assert refused.value.code == code


def test_what_the_cache_could_never_hold_is_refused_with_the_numbers(other: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="--cache-gb") as refused:
        other.chat.completions.create(model="tiny", messages=user("Hi"), max_tokens=1990)
    body: Any = refused.value.body
    assert refused.value.code == "cache_too_small" and body["needed_bytes"] > body["budget_bytes"] == 486_000
