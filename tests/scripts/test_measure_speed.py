"""The measuring script tells a slow start from one that failed, and leaves no process behind."""

from __future__ import annotations

import pytest

from app.worker_child import hold_a_free_port
from scripts.measure_speed import DidNotStart, Measure, _answers, running, wait_for


def test_a_program_that_dies_is_reported_with_its_last_words() -> None:
    program = "import sys; sys.exit('no such model')"
    with pytest.raises(DidNotStart, match="no such model"), running(["-c", program]) as check_alive:
        wait_for(lambda: False, check_alive)


def test_a_server_is_seen_when_it_answers_and_gone_afterwards() -> None:
    port, held = hold_a_free_port()  # nobody else answers there, before and after
    server = (
        "import http.server; http.server.HTTPServer.allow_reuse_port = True; "
        f"http.server.test(http.server.SimpleHTTPRequestHandler, port={port}, bind='127.0.0.1')"
    )
    url = f"http://127.0.0.1:{port}/"
    with held:
        with running(["-c", server]) as check_alive:
            wait_for(lambda: _answers(url), check_alive)
        assert not _answers(url)


def test_a_measure_shows_its_limit_beside_its_value() -> None:
    line = Measure("page answers HTTP", 9.12, "s", limit=15).line()
    assert "9.12 s" in line and "limit 15 s" in line
