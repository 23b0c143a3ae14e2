"""The doors for pictures: in with limits, out to the owner alone."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from app.chat_tab import EXAMPLES
from app.drafts import DraftLimits, Drafts, Room
from app.picture_routes import PictureRoutes, TicketRefused, Tickets
from conversations.messages import ImageRef
from conversations.store import ConversationStore

ANN, BOB = "visitor:ann", "visitor:bob"


@pytest.fixture
def tickets() -> Tickets:
    return Tickets()


@pytest.fixture
def client(store: ConversationStore, tickets: Tickets) -> TestClient:
    def owner(request: Request) -> str | None:
        return request.headers.get("x-owner")

    return TestClient(Starlette(routes=PictureRoutes(store, tickets, owner, EXAMPLES).routes()))


def png(size: tuple[int, int] = (640, 480)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "green").save(buffer, "PNG")
    return buffer.getvalue()


def post(client: TestClient, data: bytes, owner: str | None = ANN):
    return client.post("/pictures", content=data, headers={"x-owner": owner} if owner else {})


def test_a_picture_that_is_sent_in_gets_a_ticket_for_its_owner(client: TestClient, tickets: Tickets) -> None:
    told = post(client, png()).json()
    assert tickets.read(ANN, told["ticket"]) == ImageRef(told["sha256"], 640, 480)
    with pytest.raises(TicketRefused):
        tickets.read(BOB, told["ticket"])
    with pytest.raises(TicketRefused):
        Tickets().read(ANN, told["ticket"])


@pytest.mark.parametrize(
    "data", [b"", b"not a picture", png()[:60], b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_what_is_no_picture_is_refused_in_a_sentence(client: TestClient, data: bytes) -> None:
    answer = post(client, data)
    assert answer.status_code == 400 and answer.json()["error"].endswith(".")


def test_too_many_bytes_are_refused_before_they_are_all_read(
    client: TestClient, store: ConversationStore
) -> None:
    read = 0

    def endless():
        nonlocal read
        while read < 200_000_000:
            read += 1_000_000
            yield b"x" * 1_000_000

    answer = client.post("/pictures", content=endless(), headers={"x-owner": ANN})
    assert answer.status_code == 413 and "15 MB" in answer.json()["error"]


def test_a_picture_leaves_only_to_whoever_has_it_in_a_conversation(client, store: ConversationStore) -> None:
    told = post(client, png()).json()
    addresses = [f"/pictures/{told['sha256']}", f"/pictures/{told['sha256']}/thumb"]
    for address in addresses:  # not even to its sender before it was asked about
        assert client.get(address, headers={"x-owner": ANN}).status_code == 404
    conversation = store.create(ANN)
    store.add_question(ANN, conversation.id, "?", [ImageRef(told["sha256"], 640, 480)])
    for address in addresses:
        mine = client.get(address, headers={"x-owner": ANN})
        assert mine.status_code == 200 and mine.headers["cache-control"].startswith("private")
        assert Image.open(io.BytesIO(mine.content)).width == (320 if address.endswith("thumb") else 640)
        assert client.get(address, headers={"x-owner": BOB}).status_code == 404
        assert client.get(address).status_code == 404


@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "0" * 64, "x", "%00", "A" * 64])
def test_an_address_that_names_no_picture_is_not_found(client: TestClient, name: str) -> None:
    assert client.get(f"/pictures/{name}", headers={"x-owner": ANN}).status_code == 404


def test_without_an_owner_nothing_goes_in_or_out(client: TestClient) -> None:
    assert post(client, png(), None).status_code == 401
    assert client.get("/examples/scene-1.png").status_code == 404


def test_examples_are_served_by_name_and_nothing_beside_them(client: TestClient) -> None:
    for path in Path(EXAMPLES).glob("*.png"):
        assert client.get(f"/examples/{path.name}", headers={"x-owner": ANN}).status_code == 200
    for name in ("examples.json", "..%2fstyle.css", "nothing.png"):
        assert client.get(f"/examples/{name}", headers={"x-owner": ANN}).status_code == 404


@given(st.text(max_size=200))
def test_no_text_is_a_ticket_by_chance(text: str) -> None:
    with pytest.raises(TicketRefused):
        Tickets().read(ANN, text)


def test_more_pictures_at_once_than_can_be_taken_are_put_off(
    store: ConversationStore, tickets: Tickets
) -> None:
    """The rest of the page keeps its threads: pictures wait for decoders of their own."""
    routes = PictureRoutes(store, tickets, lambda request: f"user:{request.headers['x-number']}", EXAMPLES)
    free = threading.Event()
    real = store.images.add

    def slow(data: bytes) -> ImageRef:
        free.wait(300)
        return real(data)

    async def send_all() -> list[int]:
        sent = httpx.AsyncClient(
            transport=httpx.ASGITransport(Starlette(routes=routes.routes())), base_url="http://t"
        )
        async with sent as client:

            def post(number: int):
                return client.post("/pictures", content=png((9, 9)), headers={"x-number": str(number // 4)})

            waiting = [asyncio.create_task(post(number)) for number in range(16)]
            while routes._decoders.borrowed_tokens < 4 or routes._num_taken < 16:
                await asyncio.sleep(0.01)
            late = await post(99)
            assert "again in a moment" in late.json()["error"]
            assert routes._decoders.borrowed_tokens == 4
            free.set()
            return [late.status_code, *(each.status_code for each in await asyncio.gather(*waiting))]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.images, "add", slow)
        assert asyncio.run(send_all()) == [429, *[200] * 16]


def test_one_sender_takes_four_of_the_places_and_leaves_the_rest_to_others(
    store: ConversationStore, tickets: Tickets
) -> None:
    routes = PictureRoutes(store, tickets, lambda request: request.headers["x-owner"], EXAMPLES)

    async def send_all() -> tuple[list[int], int, str]:
        held = asyncio.Event()

        async def slowly():
            yield png((9, 9))
            await held.wait()

        def post(owner: str, content):
            return client.post("/pictures", content=content, headers={"x-owner": owner})

        transport = httpx.ASGITransport(Starlette(routes=routes.routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            waiting = [asyncio.create_task(post(ANN, slowly())) for _ in range(4)]
            while routes._num_taken < 4:
                await asyncio.sleep(0.01)
            fifth = await post(ANN, png((9, 9)))
            other = await post(BOB, png((9, 9)))
            held.set()
            return (
                [each.status_code for each in await asyncio.gather(*waiting)],
                other.status_code,
                fifth.json()["error"],
            )

    first, other, words = asyncio.run(send_all())
    assert (first, other) == ([200] * 4, 200) and "At most 4 pictures" in words


def test_a_picture_that_comes_too_slowly_gives_its_place_back(
    store: ConversationStore, tickets: Tickets
) -> None:
    routes = PictureRoutes(store, tickets, lambda request: ANN, EXAMPLES, seconds_to_arrive=0.05)

    async def send() -> httpx.Response:
        async def never():
            yield png((9, 9))
            await asyncio.sleep(600)

        transport = httpx.ASGITransport(Starlette(routes=routes.routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            return await client.post("/pictures", content=never())

    answer = asyncio.run(send())
    assert answer.status_code == 408 and "longer than" in answer.json()["error"]
    assert routes._num_taken == 0


def test_a_picture_that_cannot_be_kept_is_refused_as_no_fault_of_the_sender(
    client: TestClient, store: ConversationStore
) -> None:
    """A file stands where the store wants a folder: as root, no folder is closed to a test."""
    (store.images.folder / ".drafts").touch()
    refused = post(client, png())
    assert refused.status_code == 507
    assert str(store.images.folder) in refused.json()["error"] and "make room" in refused.json()["error"]
    (store.images.folder / ".drafts").unlink()
    assert post(client, png()).status_code == 200


def test_pictures_that_are_never_sent_are_taken_up_to_a_limit(
    store: ConversationStore, tickets: Tickets
) -> None:
    drafts = Drafts(store.images.is_draft, DraftLimits(owner=Room(3, 10**9)))
    routes = PictureRoutes(
        store, tickets, lambda request: request.headers["x-owner"], EXAMPLES, drafts=drafts
    )
    client = TestClient(Starlette(routes=routes.routes()))
    told = [post(client, png((9, 9 + number))) for number in range(4)]
    assert [each.status_code for each in told] == [200, 200, 200, 429]
    assert "At most 3 pictures" in told[-1].json()["error"] and told[-1].json()["error"].endswith(".")
    assert len(store.images.drafts()) == 3
    assert post(client, png((9, 9)), BOB).status_code == 200
    first = told[1].json()
    store.add_question(ANN, store.create(ANN).id, "?", [tickets.read(ANN, first["ticket"])])
    assert post(client, png((50, 50))).status_code == 200


def test_a_visitor_who_drops_the_cookie_is_counted_at_the_same_address(
    store: ConversationStore, tickets: Tickets
) -> None:
    drafts = Drafts(store.images.is_draft, DraftLimits(network=Room(3, 10**9)))
    routes = PictureRoutes(
        store, tickets, lambda request: request.headers["x-owner"], EXAMPLES, drafts=drafts
    ).routes()
    one, other = (TestClient(Starlette(routes=routes), client=(f"203.0.113.{end}", 5)) for end in (7, 8))
    told = [post(one, png((9, 9 + number)), f"visitor:{number}") for number in range(4)]
    assert [each.status_code for each in told] == [200, 200, 200, 429]
    assert "from your network" in told[-1].json()["error"]
    assert post(other, png((9, 90)), "visitor:9").status_code == 200
    assert post(one, png((9, 91)), "user:ann").status_code == 200
