"""The page's side with `transformers serve`, a server that we did not write: it lists no model, fails on stop texts,
and knows neither our phases nor our templates' stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from app.turns import Ask, Choices, Turns
from app.worker_client import (
    ChatRequest,
    Finished,
    Piece,
    ServerFeatures,
    WorkerClient,
    WorkerEvent,
    WorkerHealth,
)
from app.worker_status import WorkerStatus
from conversations.messages import Message
from conversations.store import ConversationStore
from scripts.demo_world import facts
from tests.known_scene import drawn, plain_scene
from tests.peers.transformers_server import needs_the_model, transformers_server

pytestmark = [needs_the_model, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with transformers_server(tmp_path_factory.mktemp("transformers")) as address:
        yield address


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ConversationStore]:
    opened = ConversationStore.open(f"sqlite:///{tmp_path / 'chats.db'}", tmp_path / "pictures")
    yield opened
    opened.close()


def text_of(events: Iterable[WorkerEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Piece))


def test_it_is_ready_without_a_name_and_what_it_lacks_is_known(url: str) -> None:
    health = WorkerClient(url).health()
    assert health == WorkerHealth("ready", model="", models=(), features=ServerFeatures(seed=True))


def test_a_question_about_a_picture_and_a_follow_up_are_answered_rightly_and_logged(
    url: str, store: ConversationStore, tmp_path: Path
) -> None:
    """The page without its browser: picture into the store, turns through the log, answers back into it."""
    scene = plain_scene(2)
    client = WorkerClient(url, data_url=store.images.data_url)
    health = client.health()
    turns = Turns(store, client, lambda: WorkerStatus("Ready", True, health=health, models=health.models))
    picture = store.images.add(drawn(scene, tmp_path).read_bytes())
    choices = Choices(temperature=0.0, max_new_tokens=60)

    def ask(conversation_id: str | None, text: str, *pictures: object) -> str:
        order = Ask(conversation_id, text, pictures, text)  # type: ignore[arg-type]
        return list(turns.run("user:ann", order, choices))[-1].conversation_id

    conversation_id = ask(None, "How many shapes are there?", picture)
    for thing in scene.things:
        ask(conversation_id, f"What color is the {thing.shape}?")
    answers = [turn for turn in store.load("user:ann", conversation_id).shown if turn.role == "assistant"]
    assert facts.number(answers[0].text) == 2, answers[0].text
    for thing, answer in zip(scene.things, answers[1:], strict=True):
        assert facts.attribute(answer.text, "colour") == thing.colour, answer.text
    for answer in answers:
        assert answer.answer is not None and answer.answer.finish_reason == "stop", answer.answer
        assert "###" not in answer.text and "Human" not in answer.text and answer.text == answer.text.strip()


def test_an_answer_is_cut_where_the_template_ends_and_the_server_is_free_again(url: str) -> None:
    client = WorkerClient(url)
    hello = (Message("user", ("Hello!",)),)
    events = list(client.stream(ChatRequest(hello, temperature=0.0, max_new_tokens=200)))
    text = text_of(events)
    assert text and "#" not in text and isinstance(events[-1], Finished) and events[-1].reason == "stop"
    again = list(client.stream(ChatRequest(hello, temperature=0.0, max_new_tokens=3)))
    assert again[-1] == Finished("length", again[-1].num_prompt_tokens, 3)  # type: ignore[union-attr]


def test_texts_to_end_at_are_not_sent_where_they_would_fail_and_end_the_answer_all_the_same(url: str) -> None:
    hello = (Message("user", ("Hello!",)),)
    whole = text_of(WorkerClient(url).stream(ChatRequest(hello, temperature=0.0)))
    stop = whole[5:8]
    shorter = text_of(WorkerClient(url).stream(ChatRequest(hello, temperature=0.0, stop=(stop,))))
    assert shorter == whole[: whole.index(stop)]


def test_a_model_that_it_does_not_serve_is_refused_in_its_words_or_served_by_the_pinned_one(url: str) -> None:
    """It holds one model and refuses every other name; what the client then asks for is that one."""
    request = ChatRequest((Message("user", ("Hello!",)),), model="elsewhere/other", max_new_tokens=2)
    assert isinstance(list(WorkerClient(url).stream(request))[-1], Finished)
