"""The lines of an event stream, whatever text they carry and however they are cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.event_stream import MAX_LINE_BYTES, split_lines
from app.worker_errors import WorkerProtocolError

_TEXT = st.text(alphabet=st.sampled_from("ab é\u2028\u2029\u0085\x1c\x1d\x0b\x0c😀"), max_size=12)


@given(st.lists(_TEXT, max_size=5), st.integers(1, 7), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_a_line_ends_where_the_protocol_ends_it_and_nowhere_else(
    texts: list[str], step: int, ending: str, ended: bool
) -> None:
    lines = [f"data: {json.dumps(text, ensure_ascii=False)}" for text in texts]
    data = ending.join(lines).encode() + (ending.encode() if ended and lines else b"")
    chunks = [data[start : start + step] for start in range(0, len(data), step)]
    assert list(split_lines(chunks)) == lines


def test_a_line_that_never_ends_is_given_up_before_it_fills_the_memory() -> None:
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 1_000_000

    with pytest.raises(WorkerProtocolError, match="a line of more than"):
        list(split_lines(endless(), "http://w"))
    assert taken <= MAX_LINE_BYTES // 1_000_000 + 1
