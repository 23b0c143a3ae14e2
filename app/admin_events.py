"""The door for the events of those parts of the page that only admins have: who may is asked for every event, since a
browser that was not shown a part can still send what belongs to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import count
from typing import Any, Generic, TypeVar

from app import wording
from app.browser_event import BrowserEvent
from app.worker_errors import WorkerError
from conversations.errors import LogError

Feeds = dict[str, dict[str, Any]]
"""A feed's name to its message."""

Request = TypeVar("Request", bound=BrowserEvent)

_log = logging.getLogger(__name__)


class AdminEvents(Generic[Request]):
    """What such parts have in common; any number of threads may call it. `part` is what the log calls it; errors of
    the kinds `told` are sentences for people, as those of the log are."""

    def __init__(
        self,
        part: str,
        request: Callable[[object], Request],
        may: Callable[[str], bool],
        *,
        told: tuple[type[Exception], ...] = (),
    ) -> None:
        self._part = part
        self._request = request
        self._may = may
        self._told = told
        self._numbers = count(1)

    def answered(self, what: Callable[[str, Request], Feeds], owner: str | None, data: object) -> Feeds:
        """The outcome of an event, or the sentence that tells why there is none. Who may not gets nothing: to them
        there is no such part."""
        if owner is None or not self._may(owner):
            return {}
        try:
            feeds = what(owner, self._request(data))
        except (LogError, WorkerError) as error:
            feeds = self.refused(wording.sentence(error))
        except self._told as error:
            feeds = self.refused(str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the person is told
            _log.exception("an event of the %s failed in a way that nobody foresaw", self._part)
            feeds = self.refused(wording.sentence(error))
        return {name: {"n": next(self._numbers), **message} for name, message in feeds.items()}

    def refused(self, words: str) -> Feeds:
        """What a refusal looks like in this part's feeds."""
        return {"said": {"words": words, "failed": True}}
