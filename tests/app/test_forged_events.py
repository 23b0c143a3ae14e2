"""What no page of ours sends: forged values, forged numbers, and more than there may be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.browser_event import BrowserEvent
from app.chat_events import ChatEvents
from app.own_events import EVENTS as OWN
from app.picture_routes import Tickets
from app.turns import Choices, Turns
from conversations.errors import InvalidText
from conversations.store import ConversationStore
from tests.app.scripted_worker import READY
from tests.app.test_chat_events import ANN, send

_NAMES = (
    "kind",
    "key",
    "text",
    "pictures",
    "conversation",
    "turn",
    "step",
    "rating",
    "title",
    "search",
    "choices",
    "reasons",
    "note",
    "tags",
    "tag",
    "on",
    "remove",
    "private",
)


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20),
    st.lists(st.text(max_size=3)),
    st.dictionaries(st.text(max_size=3), st.integers()),
    st.sampled_from(["ask", "retry", "edit", "up", "\ud800", "a\0b"]),
    st.fixed_dictionaries({"temperature": st.one_of(st.text(max_size=5), st.floats()), "seed": st.text(max_size=5)}),
)  # fmt: skip


@pytest.fixture
def events(store: ConversationStore, turns: Turns) -> ChatEvents:
    return ChatEvents(store, turns, Tickets(b"k" * 32), lambda: READY)


@given(data=st.one_of(_VALUES, st.dictionaries(st.sampled_from(_NAMES), _VALUES)))
@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
def test_whatever_is_forged_is_refused_in_words(events: ChatEvents, data: Any) -> None:
    for name in ("open", "stop", "version", "list", "status"):
        assert isinstance(events.answered(getattr(events, name), ANN, data), dict)
    for name in OWN:
        assert isinstance(events.answered(getattr(events.own, name), ANN, data), dict)
    for message in events.streamed(ANN, data):
        assert set(message) <= {"thread", "list", "live", "notice"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"seed": "x"}, "seed"), ({"temperature": "hot"}, "temperature"), ({"top_p": "nan"}, "Top-p"),
     ({"seed": "1e300"}, "seed"), ({"seed": "1.5"}, "whole number"), ({"seed": "1_0"}, "whole number"),
     ({"max_new_tokens": "9.5"}, "longest answer")],
)  # fmt: skip
def test_a_field_of_the_settings_that_is_no_number_is_named(fields: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidText) as refused:
        BrowserEvent({"choices": fields}).choices()
    assert said in str(refused.value)


def test_a_seed_is_kept_to_the_last_digit() -> None:
    for seed in (2**53 + 1, 2**63 - 1):
        assert BrowserEvent({"choices": {"seed": f" {seed} "}}).choices().seed == seed


def test_empty_fields_of_the_settings_mean_the_usual() -> None:
    event = BrowserEvent({"choices": {"seed": "", "temperature": "", "max_new_tokens": ""}})
    assert event.choices() == Choices()
    assert BrowserEvent({"choices": {"temperature": "0", "seed": "0"}}).choices() == Choices(
        temperature=0.0, seed=0
    )


def test_too_many_pictures_are_refused_with_the_limit(events: ChatEvents) -> None:
    (refused,) = send(events, pictures=["x"] * 11)
    assert "at most 10 pictures" in refused["notice"]["words"]
