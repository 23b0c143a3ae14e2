"""Base and tuned answer of the running worker to one held-out question, asked at the same time and told as they come.

The question is asked as the trainer asked it: with what was said before it, and always the likeliest word.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from app import wording
from app.held_out import HeldOut, data_url
from app.worker_client import ChatRequest, Piece, WorkerError, WorkerEvent
from conversations.errors import LogError
from conversations.messages import ImageRef, Message, Role

MAX_NEW_TOKENS = 256


class AsksWorker(Protocol):
    """The part of WorkerClient that is needed here."""

    def stream(self, request: ChatRequest) -> Iterator[WorkerEvent]: ...


@dataclass(frozen=True, slots=True)
class Said:
    """What a model has said so far. `failed`: the text is why it did not answer."""

    text: str = ""
    ended: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Asking:
    """One question; `said` by model, in the order in which they were asked."""

    number: int
    said: Mapping[str, Said]

    @property
    def ended(self) -> bool:
        return all(each.ended for each in self.said.values())


class BothAnswers:
    """One question at a time for each run; a new one takes its place. Any number of threads may look."""

    def __init__(self, client_with: Callable[[Callable[[str], str]], AsksWorker]) -> None:
        """`client_with` gives a client of the worker that finds its pictures by this function (WorkerClient's
        `data_url`)."""
        self._client_with = client_with
        self._lock = threading.Lock()
        self._asked: dict[str, Asking] = {}

    def asked(self, job_id: str) -> Asking | None:
        return self._asked.get(job_id)

    def ask(self, job_id: str, row: HeldOut, pictures: Sequence[Path], models: Sequence[str]) -> None:
        """Returns at once; `asked` tells what comes. Raises PictureMissing, PictureRefused."""
        urls = {_key(path): data_url(path) for path in pictures}
        messages = _messages(row, tuple(ImageRef(key) for key in urls))
        asking = Asking(row.number, {model: Said() for model in models})
        with self._lock:
            self._asked[job_id] = asking
        for model in models:
            request = ChatRequest(
                messages, model=model, temperature=0.0, top_p=1.0, max_new_tokens=MAX_NEW_TOKENS
            )
            threading.Thread(
                target=self._listen,
                args=(job_id, row.number, model, request, urls),
                name="held-out-answer",
                daemon=True,
            ).start()

    def _listen(
        self, job_id: str, number: int, model: str, request: ChatRequest, urls: Mapping[str, str]
    ) -> None:
        said = Said()
        try:
            for event in self._client_with(urls.__getitem__).stream(request):
                if isinstance(event, Piece):
                    said = replace(said, text=said.text + event.text)
                if not self._tell(job_id, number, model, said):
                    return  # another question was asked meanwhile
            said = replace(said, text=said.text.strip(), ended=True)
        except (WorkerError, LogError) as error:
            said = Said(wording.sentence(error), ended=True, failed=True)
        except Exception as error:  # noqa: BLE001 - the thread's edge: whatever it is, the person is told
            said = Said(wording.sentence(error), ended=True, failed=True)
        self._tell(job_id, number, model, said)

    def _tell(self, job_id: str, number: int, model: str, said: Said) -> bool:
        with self._lock:
            asking = self._asked.get(job_id)
            if asking is None or asking.number != number or model not in asking.said:
                return False
            self._asked[job_id] = replace(asking, said={**asking.said, model: said})
            return True


def _messages(row: HeldOut, images: tuple[ImageRef, ...]) -> tuple[Message, ...]:
    """Pictures first, in the first message, as a data set has them."""
    texts = (*row.earlier, row.question)
    roles: tuple[Role, Role] = ("user", "assistant")
    return tuple(
        Message(roles[place % 2], (*(images if place == 0 else ()), text)) for place, text in enumerate(texts)
    )


def _key(path: Path) -> str:
    return hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()
