"""The log's one door: every conversation, question, answer and picture goes in and comes out through this
class.

Every call of a person names its owner, and another's id is answered exactly as one that does not exist
(`NotFound`). A question is committed before it is asked. Its answer stands in the tree, "running", before the
first word comes, so that whatever then dies, what had come is there and is marked for what it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, select

from conversations import answers, pictures, upkeep
from conversations import search as searching
from conversations.actions import record
from conversations.backup import Backup
from conversations.curation import Curation
from conversations.database import Database
from conversations.errors import InvalidText, NotFound, UnwritableFolder
from conversations.exchange import Exchange
from conversations.feedback import Feedback
from conversations.history import History
from conversations.image_store import ImageStore
from conversations.indexing import index, index_title
from conversations.jobs import JobRecords
from conversations.log_reader import LogReader
from conversations.log_text import checked_text, checked_title, title_of
from conversations.lookup import check_parent, conversation_row, sent_before, turn_row
from conversations.messages import ImageRef
from conversations.page_lease import PageLease
from conversations.tables import ConversationRow, TurnRow
from conversations.tree import path_to, shown_path, siblings, turn_of, turn_with_versions
from conversations.turns import AnswerOutcome, AnswerSettings, Conversation, ConversationSummary, Rating, Turn

MAX_OWNER_LENGTH = 200
MAX_REQUEST_KEY_LENGTH = 100
DRAFT_SECONDS = 24 * 3600
"""How long a picture that was added may wait to be sent."""

EMPTY_SECONDS = 24 * 3600
"""How long a conversation may wait for its first question."""


class ConversationStore:
    """Synchronous; any number of threads may share one, and several processes one database."""

    def __init__(self, database: Database, images: ImageStore, lease: PageLease) -> None:
        self._database = database
        self._lease = lease
        self.images = images
        self.history = History(database)
        self.feedback = Feedback(database)
        self.curation = Curation(database, images)
        self.exchange = Exchange(database, images, lease)
        self.reader = LogReader(database, lease)
        self.backup = Backup(database, images)
        self.jobs = JobRecords(database, lease)

    @classmethod
    def open(cls, database_url: str, image_folder: Path) -> ConversationStore:
        """Open the database, made and migrated where needed. Raises DatabaseRefused, with the remedy, if it
        cannot be used; an existing file is then left as it was."""
        database = Database(database_url)
        try:
            images = ImageStore(image_folder)
            lease = PageLease(image_folder / ".pages")
        except OSError as error:
            database.close()
            raise UnwritableFolder(
                f"The pictures' folder {image_folder} cannot be written ({error.strerror}); make it writable."
            ) from error
        except BaseException:
            database.close()
            raise
        return cls(database, images, lease)

    def close(self) -> None:
        """Close the connections and say that this page is gone."""
        self._lease.release()
        self._database.close()

    # -- conversations ---------------------------------------------------------------------------------------

    def create(self, owner: str, system_prompt: str = "") -> Conversation:
        """A new, empty conversation. It has no title, and `recent` leaves it out, until the first
        question."""
        now = _now()
        row = ConversationRow(
            id=uuid.uuid4().hex,
            owner=_checked_owner(owner),
            title="",
            system_prompt=checked_text(system_prompt, "The system prompt"),
            created_at=now,
            updated_at=now,
        )
        with self._database.writing() as session:
            session.add(row)
            session.flush()
            return _conversation(row, ())

    def load(self, owner: str, conversation_id: str) -> Conversation:
        """A conversation with its shown branch. Raises NotFound."""
        with self._database.reading() as session:
            row = conversation_row(session, owner, conversation_id)
            turns = session.scalars(select(TurnRow).where(TurnRow.conversation_id == conversation_id))
            return _conversation(row, shown_path(turns), searching.tags_of(session, [row.id]).get(row.id, ()))

    def recent(
        self, owner: str, search: str = "", limit: int = 50, offset: int = 0
    ) -> list[ConversationSummary]:
        """Conversations with at least one question that are not archived, pinned ones first, then newest first;
        with `search`, those that contain all its words, those first where they were found last."""
        return self.history.recent(owner, search, limit, offset)

    def rename(self, owner: str, conversation_id: str, title: str) -> None:
        """Raises NotFound, InvalidText."""
        line = checked_title(title)
        with self._database.writing() as session:
            row = conversation_row(session, owner, conversation_id)
            row.title = line
            index_title(session, row)

    def set_system_prompt(self, owner: str, conversation_id: str, system_prompt: str) -> None:
        """For the answers to come; each answer keeps the one it was asked with. Raises NotFound,
        InvalidText."""
        checked_text(system_prompt, "The system prompt")
        with self._database.writing() as session:
            conversation_row(session, owner, conversation_id).system_prompt = system_prompt

    def delete(self, owner: str, conversation_id: str) -> None:
        """Remove a conversation and the pictures that nobody else uses. Raises NotFound."""
        with self._database.writing() as session:
            conversation_row(session, owner, conversation_id)
            used = pictures.used_in(session, conversation_id)
            session.execute(delete(TurnRow).where(TurnRow.conversation_id == conversation_id))
            session.execute(delete(ConversationRow).where(ConversationRow.id == conversation_id))
            record(session, owner, "delete", None, {"conversation": conversation_id})
        with self._database.writing() as session:
            pictures.remove_unused(session, self.images, used)

    # -- turns -----------------------------------------------------------------------------------------------

    def add_question(
        self,
        owner: str,
        conversation_id: str,
        text: str,
        images: Sequence[ImageRef] = (),
        *,
        parent_id: int | None = None,
        request_key: str | None = None,
    ) -> Turn:
        """Append a question under the answer `parent_id` (None: at the root) and show it. The same `request_key` again
        returns the turn that it made the first time. A question with the parent of an earlier one is another
        version of it.

        `images` come from `images.add` in the same request or from a turn of the same owner, never from an id
        that a client sent. Raises NotFound, InvalidText, PictureMissing, and AnswerRunning while the
        conversation is being answered."""
        checked_text(text, "The message")
        if not text.strip() and not images:
            raise InvalidText("The message is empty; write something or add a picture.")
        _check_request_key(request_key)
        looks = pictures.looks_of(self.images, images)
        now = _now()
        with self._database.writing() as session:
            conversation = conversation_row(session, owner, conversation_id, lock=True)
            if (row := sent_before(session, conversation_id, request_key)) is not None:
                return turn_with_versions(session, row)
            check_parent(session, owner, conversation_id, parent_id)
            answers.refuse_while_running(session, conversation_id, self._lease.alive)
            answers.hide_versions(session, conversation_id, parent_id)
            row = TurnRow(
                conversation_id=conversation_id,
                parent_id=parent_id,
                role="user",
                text=text,
                is_shown=True,
                request_key=request_key,
                created_at=now,
                answer=None,
                pictures=[],
            )
            pictures.attach(session, self.images, row, images, looks, now)
            session.add(row)
            conversation.title = conversation.title or title_of(text)
            conversation.updated_at = now
            session.flush()
            index(session, conversation, [row])
            turn = turn_with_versions(session, row)
        for image in turn.images:
            self.images.settle(image.sha256)
        return turn

    def start_answer(
        self, owner: str, question_id: int, settings: AnswerSettings, *, request_key: str | None = None
    ) -> Turn:
        """Put an empty, running answer under a question; a second one for the same question is another
        version.

        Raises NotFound, AnswerRunning while the conversation is being answered, and AlreadyAnswered if
        `request_key` got its answer before (Send was pressed twice, and the second press came late)."""
        _check_request_key(request_key)
        with self._database.writing() as session:
            question = turn_row(session, owner, question_id)
            if question.role != "user":
                raise NotFound(f"The turn {question_id} is not a question; only questions are answered.")
            conversation = conversation_row(session, owner, question.conversation_id, lock=True)
            answers.refuse_while_running(session, question.conversation_id, self._lease.alive)
            answers.refuse_twice(session, question, request_key)
            page = self._lease.page_id
            row = answers.start(session, conversation, question, settings, page, request_key, _now())
            return turn_with_versions(session, row)

    def save_partial(self, answer_id: int, text: str) -> bool:
        """Keep what has come so far. False if the answer has ended or is gone: then the stream should
        stop."""
        with self._database.writing() as session:
            return answers.save_partial(session, answer_id, text)

    def set_model(self, answer_id: int, model: str, template: str) -> None:
        """Log which model is asked, and in which template, where the worker was not there yet when the answer
        was started."""
        with self._database.writing() as session:
            answers.set_model(session, answer_id, model, template)

    def finish_answer(self, answer_id: int, outcome: AnswerOutcome) -> Turn:
        """Write how the answer ended; a second end changes nothing. Raises NotFound if it was deleted
        meanwhile."""
        with self._database.writing() as session:
            row = session.get(TurnRow, answer_id)
            if row is None or row.role != "assistant":
                raise NotFound(f"The answer {answer_id} is not there any more; its conversation was deleted.")
            answers.finish(session, row, outcome, _now())
            return turn_with_versions(session, row)

    def interrupt(self, owner: str, conversation_id: str) -> bool:
        """End what is running here although no stream is left that would: text kept, marked interrupted.
        Whether there was something to end. Raises NotFound."""
        with self._database.writing() as session:
            conversation_row(session, owner, conversation_id, lock=True)
            row = answers.running(session, conversation_id)
            if row is not None:
                answers.interrupt(session, row)
            return row is not None

    def recover(self) -> int:
        """Call at start: answers that a dead page left running become "interrupted"; returns how many.
        Answers of other live pages on the same database go on. Pictures that were never sent, and
        conversations without a question, go after a day."""
        with self._database.writing() as session:
            count = answers.recover(session, self._lease.alive)
            pictures.remove_unused(session, self.images)
            pictures.remove_drafts(session, self.images, DRAFT_SECONDS)
            upkeep.remove_empty(session, _now() - timedelta(seconds=EMPTY_SECONDS))
        self._lease.sweep()
        return count

    def turn(self, owner: str, turn_id: int) -> Turn:
        """One turn. Raises NotFound."""
        with self._database.reading() as session:
            row = turn_row(session, owner, turn_id)
            return turn_with_versions(session, row)

    def path(self, owner: str, turn_id: int) -> tuple[Turn, ...]:
        """The turns from the root to this one, shown or not: what a model is asked with. Raises NotFound."""
        with self._database.reading() as session:
            row = turn_row(session, owner, turn_id)
            rows = session.scalars(select(TurnRow).where(TurnRow.conversation_id == row.conversation_id))
            return path_to(rows, turn_id)

    def versions(self, owner: str, turn_id: int) -> tuple[Turn, ...]:
        """All turns under the same parent, oldest first. Raises NotFound."""
        with self._database.reading() as session:
            rows = siblings(session, turn_row(session, owner, turn_id))
            ids = [row.id for row in rows]
            return tuple(turn_of(row, ids) for row in rows)

    def show(self, owner: str, turn_id: int) -> None:
        """Show this version, and every turn above it; below it, what was last shown there. Raises
        NotFound."""
        with self._database.writing() as session:
            row: TurnRow | None = turn_row(session, owner, turn_id)
            while row is not None:
                answers.hide_versions(session, row.conversation_id, row.parent_id)
                row.is_shown = True
                session.flush()
                row = None if row.parent_id is None else session.get(TurnRow, row.parent_id)

    def rate(self, owner: str, turn_id: int, rating: Rating | None) -> None:
        """A thumb on an answer, or None to take it back; `feedback.rate` takes reasons. Raises NotFound,
        ValueError."""
        self.feedback.rate(owner, turn_id, rating)

    def image_allowed(self, owner: str, sha256: str) -> bool:
        """Whether this picture stands in one of the owner's conversations; the route that serves pictures
        asks this."""
        with self._database.reading() as session:
            return pictures.allowed(session, owner, sha256)


def _conversation(row: ConversationRow, shown: tuple[Turn, ...], tags: tuple[str, ...] = ()) -> Conversation:
    return Conversation(
        row.id,
        row.title,
        row.system_prompt,
        row.created_at,
        row.updated_at,
        shown,
        row.is_pinned,
        row.is_archived,
        row.is_private,
        tags,
    )


def _checked_owner(owner: str) -> str:
    if not owner or len(checked_text(owner, "The owner")) > MAX_OWNER_LENGTH:
        raise InvalidText(
            f"An owner's name has 1 to {MAX_OWNER_LENGTH} characters; this one has {len(owner)}."
        )
    return owner


def _check_request_key(request_key: str | None) -> None:
    if (
        request_key is not None
        and not 1 <= len(checked_text(request_key, "The key")) <= MAX_REQUEST_KEY_LENGTH
    ):
        raise InvalidText(f"A request key has 1 to {MAX_REQUEST_KEY_LENGTH} characters.")


def _now() -> datetime:
    return datetime.now(UTC)
