"""A streamed answer's lines as events, with what our worker says beside the protocol and without what others lack."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from app.answer_cut import AnswerCut
from app.whole_text import WholePieces
from app.worker_errors import WorkerDied, WorkerProtocolError, refusal
from app.worker_values import Finished, Heartbeat, Phase, Piece, WorkerEvent

_BARE_ERROR = '{"error": "'


class ChunkReader:
    """Reads one answer. `cut` ends it where its server would not, and drops space before it; None trusts the server."""

    def __init__(self, base_url: str, cut: AnswerCut | None) -> None:
        self._base_url = base_url
        self._cut = cut
        self._pieces = WholePieces()
        self._has_text = False
        self._reason: str | None = None
        self._usage: Mapping[str, Any] = {}

    def events(self, lines: Iterator[str | None]) -> Iterator[WorkerEvent]:
        """Pieces as they come, Finished last. None among the lines means that nothing came for a moment.

        Raises WorkerDied, WorkerProtocolError, or what the server said in its stream.
        """
        for line in lines:
            if line is None:
                yield Heartbeat()
            elif line.startswith(":"):
                yield _phase(line)
            elif line.startswith("data:"):
                data = line.removeprefix("data:").strip()
                if data == "[DONE]":
                    break
                yield from self._of_chunk(data)
                if self._cut is not None and self._cut.is_cut:
                    yield Finished("stop")  # the rest is not waited for: leaving ends it at the server too
                    return
        if rest := self._certain(self._pieces.rest()) + (self._cut.rest() if self._cut else ""):
            yield Piece(rest)
        yield self._finished()

    def _of_chunk(self, data: str) -> Iterator[WorkerEvent]:
        chunk = self._chunk(data)
        self._usage = chunk.get("usage") or self._usage
        text, ended = _first_choice(chunk)
        self._reason = ended or self._reason
        if piece := self._certain(self._pieces.feed(text)):
            yield Piece(piece)

    def _certain(self, text: str) -> str:
        return self._without_leading_space(self._cut.feed(text)) if self._cut is not None else text

    def _without_leading_space(self, text: str) -> str:
        """A model's answer begins with the space that parts it from the role header."""
        text = text if self._has_text else text.lstrip()
        self._has_text = self._has_text or bool(text)
        return text

    def _finished(self) -> Finished:
        if self._reason is None:
            raise WorkerDied(self._base_url, "the stream ended without a finish reason")
        return Finished(
            "length" if self._reason == "length" else "stop",
            count(self._usage, "prompt_tokens"),
            count(self._usage, "completion_tokens"),
        )

    def _chunk(self, data: str) -> dict[str, Any]:
        try:
            chunk = json.loads(data)
        except ValueError as error:
            if data.startswith(
                _BARE_ERROR
            ):  # transformers serve puts the words in as they are, quotes and all
                words = data.removeprefix(_BARE_ERROR).removesuffix('"}')
                raise refusal(200, {"message": words}) from error
            raise WorkerProtocolError(
                self._base_url, f"its stream holds {data[:80]!r}, which is not JSON"
            ) from error
        if not isinstance(chunk, dict):
            raise WorkerProtocolError(self._base_url, f"its stream holds {data[:80]!r}, which is no object")
        told = chunk.get("error")
        if told:
            raise refusal(200, told if isinstance(told, dict) else {"message": str(told)})
        return chunk


def count(values: Mapping[str, Any], key: str) -> int | None:
    """A whole number, or None for anything else."""
    value = values.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _phase(line: str) -> Phase | Heartbeat:
    """A comment of ours tells the phase; any other server's comment is only a sign of life."""
    try:
        told = json.loads(line.removeprefix(":"))
    except ValueError:
        return Heartbeat()
    if not isinstance(told, dict) or told.get("phase") not in ("queued", "reading", "answering"):
        return Heartbeat()
    return Phase(told["phase"], count(told, "position") or 0)


def _first_choice(chunk: Mapping[str, Any]) -> tuple[str, str | None]:
    """The text and the finish reason of a chunk; both may be missing."""
    choices = chunk.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    delta = choice.get("delta")
    text = delta.get("content") if isinstance(delta, dict) else None
    reason = choice.get("finish_reason")
    return (text if isinstance(text, str) else "", reason if isinstance(reason, str) else None)
