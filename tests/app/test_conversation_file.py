"""Conversations as files through the page's own doors: to their owner and to nobody else, and in again."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.conversation_file import ConversationFiles
from conversations.store import ConversationStore
from tests.app.hostile_pictures import encoded
from tests.app.served_page import Person, ServedPage, served


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    with served(tmp_path_factory.mktemp("page")) as serving:
        yield serving


@pytest.fixture(scope="module")
def person(page: ServedPage) -> Person:
    return Person(page.url)


@pytest.fixture(scope="module")
def conversation(person: Person) -> str:
    """With a picture, a tag, a thumb down and a correction."""
    ticket = person.send_picture(encoded(Image.new("RGB", (40, 30), "red"), "PNG")).json()["ticket"]
    told = person.turn(
        {"kind": "ask", "key": "k1", "text": "What is \u201cit\u201d / now?", "pictures": [ticket]}
    )
    name = told[0]["thread"]["conversation"]
    shown = person.event("open", {"conversation": name})["thread"]["html"]
    answer = int(shown.split('<article class="reply')[1].split('data-turn="')[1].split('"')[0])
    person.event("rate", {"turn": answer, "rating": "down", "reasons": ["wrong"], "note": "No."})
    person.event("correct", {"turn": answer, "text": "A blue square."})
    person.event("tag", {"conversation": name, "tags": ["shapes"]})
    return name


def test_what_goes_out_as_json_comes_in_as_the_same_conversation(person: Person, conversation: str) -> None:
    sent = person.http.get(f"/conversations/{conversation}.json")
    assert sent.status_code == 200 and sent.headers["cache-control"] == "no-store"
    assert 'filename="What-is-it-now.json"' in sent.headers["content-disposition"]
    told = person.http.post("/conversations", content=sent.content)
    assert told.status_code == 200, told.text
    copy = told.json()["conversation"]
    assert copy != conversation
    again = person.http.get(f"/conversations/{copy}.json")
    assert json.loads(again.content) == json.loads(sent.content)
    html = person.event("open", {"conversation": copy})["thread"]["html"]
    assert "A blue square." in html and "A red circle." in html and "Rated bad: wrong" in html


def test_markdown_comes_as_a_zip_with_its_pictures(person: Person, conversation: str) -> None:
    sent = person.http.get(f"/conversations/{conversation}.zip")
    assert sent.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(sent.content)) as packed:
        assert packed.testzip() is None
        text = packed.read("conversation.md").decode()
        (picture,) = [name for name in packed.namelist() if name.startswith("images/")]
        assert Image.open(io.BytesIO(packed.read(picture))).size == (40, 30)
    assert "A red circle" in text and "A blue square" in text and picture in text


def test_nobody_else_gets_it_and_what_is_not_there_looks_the_same(
    page: ServedPage, conversation: str
) -> None:
    other = Person(page.url)
    for kind in ("json", "zip"):
        refused = other.http.get(f"/conversations/{conversation}.{kind}")
        unknown = other.http.get(f"/conversations/{'0' * 32}.{kind}")
        assert refused.status_code == unknown.status_code == 404
        assert refused.json() == unknown.json()
    for name in ("..%2f..%2fchats.db", "%00", "a" * 3000):
        assert other.http.get(f"/conversations/{name}.json").status_code in (400, 404)


def test_another_pages_script_cannot_put_one_in(person: Person, page: ServedPage) -> None:
    owners = {row.title for row in page.store.recent(_owner(page, person))}
    refused = person.http.post(
        "/conversations",
        content=b"{}",
        headers={"origin": "https://example.org", "sec-fetch-site": "cross-site"},
    )
    assert refused.status_code == 403
    assert {row.title for row in page.store.recent(_owner(page, person))} == owners


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b"[1]", ""),
        (b'{"format": "other"}', "format"),
        (b'{"format": "llava-loop-conversation", "version": 99, "turns": []}', "version"),
        (
            b'{"format": "llava-loop-conversation", "version": 1, "turns": '
            b'[{"parent": null, "role": "user", "text": "x", "pictures": ["../../etc/passwd"]}]}',
            "turns[0].pictures",
        ),
    ],
)
def test_what_is_no_conversation_is_refused_in_a_sentence_and_nothing_is_kept(
    person: Person, page: ServedPage, body: bytes, said: str
) -> None:
    before = len(page.store.recent(_owner(page, person)))
    refused = person.http.post("/conversations", content=body)
    assert refused.status_code == 400
    assert said in refused.json()["error"] and refused.json()["error"].endswith(".")
    assert len(page.store.recent(_owner(page, person))) == before


def test_too_large_a_file_and_too_many_at_once_are_refused(store: ConversationStore) -> None:
    files = ConversationFiles(store, lambda request: "user:ann", max_bytes=1000)
    client = TestClient(Starlette(routes=files.routes()))
    refused = client.post("/conversations", content=b" " * 1001)
    assert refused.status_code == 413 and "too large" in refused.json()["error"]
    assert client.post("/conversations", content=b" " * 1000).status_code == 400
    with files._places.place("user:ann"), files._places.place("user:ann"):
        refused = client.post("/conversations", content=b"{}")
        assert refused.status_code == 429 and "At most 2" in refused.json()["error"]
    assert client.post("/conversations", content=b"{}").status_code == 400


def test_a_file_that_comes_too_slowly_gives_its_place_back(store: ConversationStore) -> None:
    files = ConversationFiles(store, lambda request: "user:ann", seconds_to_arrive=0.05)

    async def send() -> httpx.Response:
        async def never() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(600)

        async with asked(files) as client:
            return await client.post("/conversations", content=never())

    refused = asyncio.run(send())
    assert refused.status_code == 408 and refused.json()["error"].endswith(".")
    assert files._num_taken == 0


def test_all_people_together_have_four_places(store: ConversationStore) -> None:
    files = ConversationFiles(store, lambda request: request.headers["x-owner"])

    async def send() -> tuple[httpx.Response, list[int], int]:
        held = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"{}"
            await held.wait()

        async with asked(files) as client:
            waiting = [
                asyncio.create_task(
                    client.post("/conversations", content=slowly(), headers={"x-owner": f"user:{number}"})
                )
                for number in range(4)
            ]
            while files._num_taken < 4:
                await asyncio.sleep(0.01)
            late = await client.post("/conversations", content=b"{}", headers={"x-owner": "user:late"})
            held.set()
            first = [each.status_code for each in await asyncio.gather(*waiting)]
            after = await client.post("/conversations", content=b"{}", headers={"x-owner": "user:late"})
            return late, first, after.status_code

    late, first, after = asyncio.run(send())
    assert late.status_code == 429 and "again" in late.json()["error"]
    assert (first, after) == ([400] * 4, 400), "places that were given back"


def test_a_file_that_finds_no_room_is_no_fault_of_the_sender_and_nothing_is_kept(
    store: ConversationStore,
) -> None:
    files = ConversationFiles(store, lambda request: "user:ann")
    client = TestClient(Starlette(routes=files.routes()))
    question = store.add_question("user:ann", store.create("user:ann").id, "long " * 20_000)
    whole = store.exchange.json("user:ann", question.conversation_id)
    with store._database.writing() as session:
        pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar_one()
        session.connection().exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    refused = client.post("/conversations", content=whole)
    assert refused.status_code == 507 and "no room left" in refused.json()["error"]
    assert len(store.recent("user:ann")) == 1


def test_pictures_that_cannot_be_kept_are_no_fault_of_the_sender(store: ConversationStore) -> None:
    client = TestClient(Starlette(routes=ConversationFiles(store, lambda request: "user:ann").routes()))
    picture = store.images.add(encoded(Image.new("RGB", (40, 30), "red"), "PNG"))
    question = store.add_question("user:ann", store.create("user:ann").id, "?", [picture])
    whole = store.exchange.json("user:ann", question.conversation_id)
    (store.images.folder / ".drafts").rmdir()
    (store.images.folder / ".drafts").touch()
    refused = client.post("/conversations", content=whole)
    assert refused.status_code == 507 and "cannot be written" in refused.json()["error"]
    assert len(store.recent("user:ann")) == 1


def test_without_a_cookie_there_is_nothing(store: ConversationStore) -> None:
    client = TestClient(Starlette(routes=ConversationFiles(store, lambda request: None).routes()))
    assert client.post("/conversations", content=b"{}").status_code == 401
    assert client.get("/conversations/x.json").status_code == 404


def asked(files: ConversationFiles) -> httpx.AsyncClient:
    """Many at a time, in one loop with the doors."""
    transport = httpx.ASGITransport(Starlette(routes=files.routes()))
    return httpx.AsyncClient(transport=transport, base_url="http://t")


def _owner(page: ServedPage, person: Person) -> str:
    from app.visitors import COOKIE, owner_of

    owner = owner_of(None, {COOKIE: person.http.cookies[COOKIE]})
    assert owner is not None
    return owner
