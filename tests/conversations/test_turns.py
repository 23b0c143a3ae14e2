"""Settings that could not be kept, or asked with, never come to be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.errors import InvalidSettings, LogError
from conversations.turns import AnswerSettings

GOOD: dict[str, Any] = {"model": "demo", "template": "llava_v0", "system_prompt": ""} | {
    "temperature": 0.2,
    "top_p": 0.7,
    "max_new_tokens": 64,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("temperature", value) for value in (float("nan"), float("inf"), -0.1, "0.2", None, 10**400)),
        *(("top_p", value) for value in (float("nan"), 0, 1.01, -1)),
        *(("max_new_tokens", value) for value in (0, -1, 2**31, 1.5)),
        *(("seed", value) for value in (2**63, 2**64, -1, 1.0, "7")),
        ("template", "x" * 101),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_name_and_value(name: str, value: object) -> None:
    with pytest.raises(InvalidSettings) as refused:
        AnswerSettings(**{**GOOD, name: value})
    sentence = str(refused.value)
    assert name.replace("_", " ").replace("top p", "top-p").split()[0] in sentence.lower()
    assert sentence.endswith(".") and len(sentence) < 300
    assert issubclass(InvalidSettings, LogError)


@given(
    temperature=st.floats(0, 1e6),
    top_p=st.floats(0, 1, exclude_min=True),
    tokens=st.integers(1, 2**31 - 1),
    seed=st.none() | st.integers(0, 2**63 - 1),
)
def test_every_other_setting_is_taken(
    temperature: float, top_p: float, tokens: int, seed: int | None
) -> None:
    settings = AnswerSettings("demo", "llava_v0", "", temperature, top_p, tokens, seed)
    assert (settings.temperature, settings.seed) == (temperature, seed)
