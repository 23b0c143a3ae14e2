"""One conversation as a file and back: everything comes back, and what anybody made up is checked."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from conversations.errors import InvalidImport, InvalidText, PictureMissing
from conversations.filters import Filters
from conversations.messages import ImageRef
from conversations.store import ConversationStore
from conversations.turns import Conversation
from conversations.whole import WholeConversation, WholeTurn
from tests.conversations.small_log import SETTINGS, answered, asked, png, texts


@pytest.fixture
def talked(store: ConversationStore) -> Conversation:
    """Versions, a picture, a rating, a correction, tags."""
    conversation = store.create("ann", "Be brief.")
    question = store.add_question("ann", conversation.id, "What is it?", [store.images.add(png())])
    first = answered(store, question, "first")
    store.feedback.rate("ann", first.id, "down", reasons=["wrong"], note="no")
    store.feedback.correct("ann", first.id, "A red thing, says ann@example.org.")
    second = answered(store, question, "second")
    follow = store.add_question("ann", conversation.id, "And then?", parent_id=second.id)
    answered(store, follow, "third")
    store.show("ann", first.id)
    store.history.tag("ann", conversation.id, ["kitchen"])
    store.history.pin("ann", conversation.id, True)
    return store.load("ann", conversation.id)


def test_json_comes_back_the_same(store: ConversationStore, talked: Conversation) -> None:
    data = store.exchange.json("ann", talked.id)
    copy = store.exchange.read_json("bob", data)
    assert json.loads(store.exchange.json("bob", copy)) == json.loads(data)
    assert texts(store, copy, "bob") == ["What is it?", "first"]
    loaded = store.load("bob", copy)
    assert (loaded.tags, loaded.is_pinned, loaded.title) == (("kitchen",), True, "What is it?")
    assert store.image_allowed("bob", loaded.shown[0].images[0].sha256)
    assert store.images.drafts() == []


def test_what_came_back_is_found_filtered_and_goes_on(store: ConversationStore, talked: Conversation) -> None:
    copy = store.exchange.read_json("bob", store.exchange.json("ann", talked.id))
    assert [summary.id for summary in store.recent("bob", "third")] == [copy]
    meant = store.curation.page(Filters(owner="bob", corrected=True, reason="wrong", has_picture=True))
    assert [item.answer for item in meant] == ["first"]
    (logged,) = (each for each in store.reader.conversations(Filters(owner="bob")) if each.id == copy)
    assert logged.turns[1].masked_correction == "A red thing, says [email]."
    last = store.load("bob", copy).last_answer_id
    question = store.add_question("bob", copy, "More?", parent_id=last)
    assert answered(store, question, owner="bob").id > question.id


def test_a_rejected_answer_comes_back_rejected_and_an_approved_one_to_be_looked_at(
    store: ConversationStore, talked: Conversation
) -> None:
    """Whoever sends a file could otherwise approve what is in it."""
    first = store.load("ann", talked.id).shown[1].id
    (approved,) = (item.id for item in store.curation.page(Filters()) if item.answer == "second")
    store.curation.set_state("root", first, "rejected")
    store.curation.tag("root", first, ["bad", "worse"])
    store.curation.set_state("root", approved, "approved")
    document = json.loads(store.exchange.json("ann", talked.id))
    assert [turn.get("state") for turn in document["turns"][:3]] == [None, "rejected", "approved"]
    copy = store.exchange.read_json("bob", json.dumps(document).encode())
    items = {item.answer: item for item in store.curation.page(Filters(owner="bob"))}
    assert {text: (item.state, item.tags) for text, item in items.items()} == {
        "first": ("rejected", ("bad", "worse")),
        "second": ("pending", ()),
        "third": ("pending", ()),
    }
    again = json.loads(store.exchange.json("bob", copy))
    document["turns"][2]["state"] = "pending"
    assert again == document
    assert store.curation.tags() == ["bad", "worse"]


def test_a_missing_picture_is_said_and_the_rest_comes_back(
    store: ConversationStore, talked: Conversation
) -> None:
    (picture,) = talked.shown[0].images
    store.images.path(picture.sha256).unlink()
    data = store.exchange.json("ann", talked.id)
    assert json.loads(data)["missing_pictures"] == [picture.sha256]
    copy = store.exchange.read_json("ann", data)
    assert store.load("ann", copy).shown[0].images == ()
    archive = zipfile.ZipFile(io.BytesIO(store.exchange.markdown("ann", talked.id)))
    assert archive.namelist() == ["conversation.md"]
    assert "A picture that is missing" in archive.read("conversation.md").decode()


def test_markdown_has_the_shown_branch_and_its_pictures(
    store: ConversationStore, talked: Conversation
) -> None:
    data = store.exchange.markdown("ann", talked.id)
    assert data == store.exchange.markdown("ann", talked.id)
    archive = zipfile.ZipFile(io.BytesIO(data))
    text, picture = archive.namelist()
    (ref,) = talked.shown[0].images
    assert archive.read(picture) == store.images.path(ref.sha256).read_bytes()
    written = archive.read(text).decode()
    assert f"![A picture]({picture})" in written
    for part in (
        "# What is it?",
        "> first",
        "*Rated down (wrong).*",
        "> no",
        "> A red thing, says ann@example.org.",
    ):
        assert part in written
    assert "second" not in written


def test_what_was_typed_makes_no_markup(store: ConversationStore) -> None:
    question = asked(store, "# Head\n<script>alert(1)</script> ![x](http://e.example/x.png) `a`\n---")
    archive = zipfile.ZipFile(io.BytesIO(store.exchange.markdown("ann", question.conversation_id)))
    written = archive.read("conversation.md").decode()
    assert "<script>" not in written and "![x](" not in written
    assert "> \\# Head" in written


def test_an_answer_in_the_making_is_written_as_interrupted(store: ConversationStore) -> None:
    question = asked(store)
    answer = store.start_answer("ann", question.id, SETTINGS)
    store.save_partial(answer.id, "half")
    copy = store.exchange.read_json("ann", store.exchange.json("ann", question.conversation_id))
    last = store.load("ann", copy).shown[-1]
    assert last.answer is not None and (last.text, last.answer.finish_reason) == ("half", "interrupted")


def changed(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Set `turns.1.text` in a document."""

    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        place: Any = document
        for name in parents:
            place = place[int(name) if name.isdigit() else name]
        place[last] = value

    return change


def with_a_drawing(document: dict[str, Any]) -> None:
    """Under the name of a picture that a turn has."""
    (name,) = document["pictures"]
    document["pictures"][name] = base64.b64encode(b"<svg/>").decode()


BROKEN = [
    (changed("format", "other"), "format cannot be 'other'"),
    (changed("version", 2), "version cannot be 2; give 1; a newer program"),
    (changed("turns", {}), "turns cannot be {}; give a list"),
    (changed("turns", []), "it has no turns"),
    (changed("turns", [5]), r"turns\[0\] cannot be 5; give an object"),
    (changed("turns.1.text", 5), r"turns\[1\].text cannot be 5; give a text"),
    (changed("turns.1.text", None), r"turns\[1\].text is not there"),
    (changed("turns.1.text", "a\0"), "turn 2: text contains a NUL"),
    (changed("turns.1.parent", 7), "turn 2: parent is 7; name an earlier turn"),
    (changed("turns.1.parent", -1), "turn 2: parent is -1"),
    (changed("turns.1.parent", True), r"turns\[1\].parent cannot be True"),
    (changed("turns.1.parent", None), "turn 2: a question follows an answer"),
    (changed("turns.0.role", "system"), "turn 1: role is 'user' or 'assistant', not 'system'"),
    (changed("turns.0.text", "x\ud800"), "turn 1: text contains a broken character"),
    (
        changed("turns.0.rating", "up"),
        "turn 1: rating, reasons, note, state, tags and correction are an answer's",
    ),
    (changed("turns.1.rating", "sideways"), "turn 2: rating is"),
    (changed("turns.1.reasons", ["ugly"]), "no reason 'ugly'"),
    (
        changed("turns.0.state", "rejected"),
        "turn 1: rating, reasons, note, state, tags and correction are an",
    ),
    (changed("turns.0.tags", ["a"]), "turn 1: rating, reasons, note, state, tags and correction are an"),
    (changed("turns.1.state", "maybe"), "turn 2: state is 'maybe'; give one of pending, approved, rejected"),
    (changed("turns.1.state", 5), r"turns\[1\].state cannot be 5"),
    (changed("turns.1.tags", ["x" * 61]), "turn 2: A tag has 1 to 60"),
    (changed("turns.1.tags", ["a\0"]), "turn 2: The tag contains a NUL"),
    (changed("turns.1.tags", [5]), r"turns\[1\].tags\[0\] cannot be 5"),
    (changed("turns.1.note", "x" * 2001), "turn 2: note has 2001"),
    (changed("turns.1.correction", " "), "turn 2: correction is empty"),
    (changed("created_at", "9999-12-31T23:59:59-14:00"), "^created_at cannot be '9999-"),
    (changed("turns.1.created_at", "0001-01-01T00:00:00+14:00"), r"turns\[1\].created_at cannot be '0001-"),
    (changed("turns.1.created_at", "soon"), r"turns\[1\].created_at cannot be 'soon'"),
    (
        changed("turns.1.answer.finish_reason", "running"),
        r"turns\[1\].answer.finish_reason cannot be 'running'",
    ),
    (changed("turns.1.answer.temperature", float("nan")), "turn 2: The temperature cannot be nan"),
    (changed("turns.1.answer.seed", 2**70), "turn 2: The seed cannot be"),
    (changed("turns.1.answer.duration_ms", -1), r"turns\[1\].answer.duration_ms cannot be -1"),
    (changed("turns.1.answer", []), r"turns\[1\].answer cannot be"),
    (changed("turns.0.pictures", ["../../x.png"]), r"turns\[0\].pictures cannot be '../../x.png'"),
    (changed("turns.0.pictures", [5]), r"turns\[0\].pictures\[0\] cannot be 5"),
    (changed("pictures", {"../../x.png": ""}), "A name in pictures cannot be '../../x.png'"),
    (changed("pictures", {"a" * 64: "%%"}), "is no base64"),
    (changed("pictures", {"a" * 64: 5}), "is no base64"),
    (with_a_drawing, "SVG"),
    (changed("tags", ["x" * 61]), "A tag has 1 to 60"),
    (changed("title", "x" * 201), "The title has 201"),
    (changed("is_private", "no"), "is_private cannot be 'no'; give true or false"),
]


@pytest.mark.parametrize(
    "backend", ["sqlite"], indirect=True
)  # what is checked here never reaches a database
@pytest.mark.parametrize(("change", "says"), BROKEN, ids=[says for _, says in BROKEN])
def test_what_is_wrong_is_named_and_nothing_is_kept(
    store: ConversationStore, talked: Conversation, change: Callable[[dict[str, Any]], None], says: str
) -> None:
    document = json.loads(store.exchange.json("ann", talked.id))
    change(document)
    with pytest.raises(InvalidImport, match=says):
        store.exchange.read_json("bob", json.dumps(document).encode())
    assert store.recent("bob") == []


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no JSON"),
        (b"[", "no JSON"),
        (b"5", "The file cannot be 5; give an object"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b"{}", "format is not there"),
    ],
)
def test_what_is_no_conversation_at_all_is_refused(store: ConversationStore, data: bytes, says: str) -> None:
    with pytest.raises(InvalidImport, match=says):
        store.exchange.read_json("bob", data)


def test_an_import_is_whole_or_nothing_and_names_the_conversation(store: ConversationStore) -> None:
    good = WholeConversation((WholeTurn(None, "user", "good"), WholeTurn(0, "assistant", "yes")))
    bad = WholeConversation((WholeTurn(None, "user", "bad"), WholeTurn(None, "assistant", "no")))
    with pytest.raises(InvalidImport, match="Conversation 2: turn 2"):
        store.exchange.add("ann", [good, bad])
    assert store.recent("ann") == []
    ids = store.exchange.add("ann", [good, good])
    assert len(set(ids)) == 2 and texts(store, ids[1]) == ["good", "yes"]
    assert [action.kind for action in store.curation.trail()] == ["import"]


def test_pictures_of_an_import_must_be_stored(store: ConversationStore) -> None:
    turn = WholeTurn(None, "user", "What?", (ImageRef("a" * 64),))
    with pytest.raises(PictureMissing):
        store.exchange.add("ann", [WholeConversation((turn,))])
    with pytest.raises(InvalidText, match="owner"):
        store.exchange.add("", [])
    assert store.exchange.add("ann", []) == []
