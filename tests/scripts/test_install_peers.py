"""A long build stands back without slowing down the terminal it was started from; a failure is one sentence."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scripts import install_peers

AUTOGROUP = Path("/proc/self/autogroup")


def test_the_command_is_slow_and_its_caller_is_not(tmp_path: Path) -> None:
    before = (os.getpriority(os.PRIO_PROCESS, 0), _autogroup())
    told = tmp_path / "told"
    program = (
        f"import os, pathlib; pathlib.Path({str(told)!r}).write_text(str(os.getpriority(os.PRIO_PROCESS, 0)))"
    )
    assert install_peers.run_in_the_background([sys.executable, "-c", program], dict(os.environ)) == 0
    assert told.read_text() == "19"
    assert (os.getpriority(os.PRIO_PROCESS, 0), _autogroup()) == before


def test_a_build_that_fails_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pins = tmp_path / "requirements-peers.txt"
    pins.write_text("a==1\n")
    monkeypatch.setattr(install_peers, "FOLDER", tmp_path / "peers")
    monkeypatch.setattr(install_peers, "PINS", pins)
    monkeypatch.setattr(install_peers, "run_in_the_background", lambda *_: 2)
    (tmp_path / "peers").mkdir()
    assert install_peers.main() == 1
    words = capsys.readouterr().err
    assert "ended with status 2. The bench leaves llama.cpp out." in words
    assert not (tmp_path / "peers" / ".installed").exists()


def test_peers_that_are_installed_are_not_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins, folder = tmp_path / "requirements-peers.txt", tmp_path / "peers"
    pins.write_text("a==1\n")
    folder.mkdir()
    (folder / ".installed").write_text("a==1\n")
    monkeypatch.setattr(install_peers, "FOLDER", folder)
    monkeypatch.setattr(install_peers, "PINS", pins)
    monkeypatch.setattr(install_peers, "run_in_the_background", lambda *_: pytest.fail("it ran"))
    assert install_peers.main() == 0


def _autogroup() -> str:
    return AUTOGROUP.read_text(encoding="ascii") if AUTOGROUP.is_file() else ""
