"""From token ids to what a reader sees: pieces, the end and its reason."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from model.engine.request import Finished, Piece, SamplingSettings
from model.engine.streams import AnswerStream

END = 99


class Letters:
    """A tokenizer's decoding half whose tokens are letters: 0 is a."""

    def decode(self, token_ids: Sequence[int], **_: bool) -> str:
        return "".join(chr(ord("a") + token_id) for token_id in token_ids if token_id != END)


def stream(stop: tuple[str, ...] = (), max_tokens: int = 100) -> AnswerStream:
    settings = SamplingSettings(stop=stop)
    return AnswerStream(settings, Letters(), end_ids={END}, max_tokens=max_tokens, num_prompt_tokens=4)


def fed(answer: AnswerStream, ids: Sequence[int]) -> list[Piece | Finished]:
    events: list[Piece | Finished] = []
    for token_id in ids:
        events += answer.feed(token_id)
        if events and isinstance(events[-1], Finished):
            break
    return events


def test_the_end_of_sequence_ends_it_and_is_no_text() -> None:
    assert fed(stream(), [0, 1, END, 2]) == [Piece("a"), Piece("b"), Finished("stop", 4, 3)]


def test_the_limit_ends_it_with_what_was_held_back() -> None:
    assert fed(stream(("bcd",), 3), [0, 1, 2]) == [Piece("a"), Piece("bc"), Finished("length", 4, 3)]


def test_a_stop_text_ends_it_before_its_beginning() -> None:
    assert fed(stream(("bc",)), [0, 1, 2, 3]) == [Piece("a"), Finished("stop", 4, 3)]


@given(st.lists(st.integers(0, 2), max_size=20), st.text("abc", min_size=1, max_size=3), st.integers(1, 25))
def test_the_pieces_are_the_text_cut_at_its_first_stop(ids: list[int], stop: str, max_tokens: int) -> None:
    events = fed(stream((stop,), max_tokens), [*ids, END])
    last = events[-1]
    assert isinstance(last, Finished)
    whole = Letters().decode(ids[:max_tokens])
    assert "".join(event.text for event in events if isinstance(event, Piece)) == whole.split(stop)[0]
    ended_early = stop in whole or len(ids) < max_tokens
    assert last.reason == ("stop" if ended_early else "length")
