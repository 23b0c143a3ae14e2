"""What comes in is checked: every request is either understood or refused in a sentence."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from conversations.messages import ImageRef
from model.door.api_error import ApiError
from model.door.chat_request import ChatRequest, parse_chat_request
from model.door.limits import Limits
from model.engine.request import SamplingSettings


def encoded(size: tuple[int, int] = (4, 3), kind: str = "PNG", mode: str = "RGB") -> str:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}


def user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


def parse(limits: Limits | None = None, **values: Any) -> ChatRequest:
    return parse_chat_request(json.dumps({"messages": [user("Hi")], **values}).encode(), limits)


def refused(limits: Limits | None = None, **values: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        parse(limits, **values)
    return error.value


def test_what_is_not_said_has_the_usual_values() -> None:
    request = parse()
    assert request.sampling == SamplingSettings()
    assert (request.model, request.system, request.stream, request.include_usage) == ("", None, False, False)


def test_parts_keep_their_order_and_pictures_their_content() -> None:
    content = [{"type": "text", "text": "Look:"}, picture(encoded()), {"type": "text", "text": "well?"}]
    request = parse(messages=[user(content)])
    first, image, last = request.messages[0].content
    assert (first, last) == ("Look:", "well?")
    assert isinstance(image, ImageRef) and (image.width, image.height) == (4, 3)
    assert request.pictures[image.sha256].image.mode == "RGB"


def test_the_same_picture_twice_is_decoded_once() -> None:
    request = parse(
        messages=[user([picture(encoded()), picture(encoded()), {"type": "text", "text": "Same?"}])]
    )
    assert len(request.messages[0].images) == 2 and len(request.pictures) == 1


@pytest.mark.parametrize(
    ("content", "expected"), [("", ""), ([{"type": "text", "text": "Be brief."}], "Be brief.")]
)
def test_a_system_prompt_may_be_empty_or_in_parts(content: object, expected: str) -> None:
    assert parse(messages=[{"role": "system", "content": content}, user("Hi")]).system == expected


ASSISTANT = {"role": "assistant", "content": "Hi."}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "at least one"),
        ("Hi", "must be a list"),
        (["Hi"], "must be an object"),
        ([ASSISTANT], "the user's turn is due"),
        ([user("Hi"), user("Hi")], "the assistant's turn is due"),
        ([user("Hi"), ASSISTANT], "last message must be the user's"),
        ([{"role": "system", "content": "x"}], "last message must be the user's"),
        ([user("Hi"), {"role": "system", "content": "x"}, user("Hi")], "only the first message"),
        ([{"role": "tool", "content": "x"}], 'the role "tool"'),
        ([user("  ")], "is empty"),
        ([user([])], "is empty"),
        ([user(None)], "must be text or a list"),
        ([user([{"type": "input_audio"}])], "known are text and image_url"),
        ([user([{"type": "text"}])], "known are text and image_url"),
        ([user([{"type": "image_url"}])], "has no url"),
        ([user("a\0b")], "NUL"),
        ([user("\ud800")], "surrogate"),
        (
            [user("Hi"), {"role": "assistant", "content": [picture("data:,")]}, user("x")],
            "holds a picture|base64",
        ),
    ],
)
def test_messages_that_make_no_conversation_are_refused(messages: object, words: str) -> None:
    error = refused(messages=messages)
    assert error.status == 400
    with pytest.raises(ApiError, match=words):
        raise error


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"n": 3}, "n"),
        ({"n": True}, "n"),
        ({"n": 0}, "n"),
        ({"tools": [{}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"function_call": {"name": "f"}}, "function_call"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"modalities": "audio"}, "modalities"),
        ({"presence_penalty": True}, "presence_penalty"),
        ({"response_format": {}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"seed": "x"}, "seed"),
        ({"stop": ["a", ""]}, "stop"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"model": 3}, "model"),
        ({"stream_options": 3}, "stream_options"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(values: dict[str, Any], param: str) -> None:
    error = refused(**values)
    assert (error.status, error.code, error.param) == (400, "invalid_request", param)


@pytest.mark.parametrize("values", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"max_tokens": 0}])
def test_settings_out_of_their_range_are_refused_with_the_range(values: dict[str, Any]) -> None:
    assert "must be" in refused(**values).message


@pytest.mark.parametrize(
    "values",
    [
        {"n": 1},
        {"n": None},
        {"presence_penalty": 0},
        {"frequency_penalty": 0.0},
        {"response_format": {"type": "text"}},
        {"response_format": None},
        {"tools": [], "tool_choice": "none", "parallel_tool_calls": True},
        {"tools": None, "tool_choice": "auto"},
        {"function_call": "none"},
        {"modalities": ["text"]},
        {"modalities": None},
        {"logprobs": False, "top_logprobs": 0, "logit_bias": {}},
        {"user": "me", "store": False, "metadata": {}, "service_tier": "auto"},
    ],
)
def test_what_changes_nothing_is_accepted(values: dict[str, Any]) -> None:
    assert parse(**values).messages


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://example.com/cat.png", "remote pictures are not loaded"),
        ("file:///etc/passwd", "remote pictures are not loaded"),
        ("data:image/png,raw", "not base64"),
        ("data:image/png;base64,@@@", "cannot be decoded"),
        ("data:image/png;base64,", "empty"),
        ("data:image/png;base64,iVBORw0KGgo=", "broken|cut off"),
        ("data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=", "SVG"),
        (encoded((40, 40)), "pixels"),
    ],
)
def test_what_is_no_picture_within_the_limits_is_refused(url: str, words: str) -> None:
    error = refused(Limits(max_picture_pixels=1000), messages=[user([picture(url)])])
    assert error.code == "invalid_picture"
    with pytest.raises(ApiError, match=words):
        raise error


def test_pictures_are_limited_in_bytes_and_in_number() -> None:
    two = [user([picture(encoded((30, 30))), picture(encoded((31, 30)))])]
    assert "at most" in refused(Limits(max_picture_bytes=50), messages=two).message
    assert "more than 1 pictures" in refused(Limits(max_pictures=1), messages=two).message


def test_a_long_conversation_with_large_photos_stays_answerable() -> None:
    """Together they have many times what one may have; each is made small as soon as it is decoded."""
    many = [picture(encoded((2000 + number, 1000), "JPEG")) for number in range(6)]
    request = parse(Limits(max_picture_pixels=2_100_000), messages=[user(many)])
    assert len(request.pictures) == 6
    assert {max(each.image.size) for each in request.pictures.values()} == {1344}


@pytest.mark.parametrize(
    ("size", "seen"),
    [((1, 5000), (1, 1344)), ((1344, 9), (1344, 9)), ((1345, 1345), (1344, 1344)), ((1, 1), (1, 1))],
)
def test_a_picture_is_shrunk_to_the_longest_side_and_never_enlarged(
    size: tuple[int, int], seen: tuple[int, int]
) -> None:
    request = parse(messages=[user([picture(encoded(size))])])
    (image,) = request.messages[0].images
    assert (image.width, image.height) == request.pictures[image.sha256].image.size == seen


def test_text_is_limited() -> None:
    assert refused(Limits(max_text_chars=1), messages=[user("Hi")]).code == "context_length_exceeded"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000, b'{"n":' + b"9" * 5000 + b"}"]
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as error:
        parse_chat_request(body)
    assert error.value.status == 400
    json.dumps(error.value.body(), ensure_ascii=False).encode()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["user", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "image_url", "url"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
KEYS = [
    "messages",
    "model",
    "n",
    "stop",
    "seed",
    "temperature",
    "top_p",
    "max_tokens",
    "stream",
    "stream_options",
]


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_whatever_comes_is_understood_or_refused_and_the_refusal_can_be_sent(values: dict[str, Any]) -> None:
    try:
        parse(**values)
    except ApiError as error:
        assert error.status == 400
        json.dumps(error.body(), ensure_ascii=False).encode()


@pytest.mark.parametrize(("sent", "kept"), [(None, 0), (0, 0), (-1, 0), (40, 40)])
def test_top_k_is_taken_and_may_be_off_in_either_way(sent: int | None, kept: int) -> None:
    assert parse(top_k=sent).sampling.top_k == kept


def test_a_setting_out_of_bounds_is_named_as_it_was_sent() -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        error = refused(**{name: 0})
        assert error.param == name and error.message.startswith(f"{name} is 0")
