"""Which pages live: a lock that the kernel frees."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from conversations.page_lease import PageLease

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from pathlib import Path
from conversations.page_lease import PageLease
lease = PageLease(Path(sys.argv[1]))
print(lease.page_id, flush=True)
time.sleep(600)
"""


def test_another_page_lives_until_it_is_released(tmp_path: Path) -> None:
    ours, theirs = PageLease(tmp_path), PageLease(tmp_path)
    assert ours.alive(ours.page_id) and ours.alive(theirs.page_id) and theirs.alive(ours.page_id)
    theirs.release()
    theirs.release()
    assert not ours.alive(theirs.page_id)
    ours.release()


def test_a_killed_page_is_dead_at_once_and_its_file_is_swept(tmp_path: Path) -> None:
    ours = PageLease(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as page:
        assert page.stdout is not None
        page_id = page.stdout.readline().strip()
        ours.sweep()
        assert ours.alive(page_id)
        page.kill()
        page.wait()
    assert not ours.alive(page_id)
    ours.sweep()
    assert [path.stem for path in tmp_path.iterdir()] == [ours.page_id]
    ours.release()


def test_a_dead_pages_file_is_removed_while_its_lock_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = PageLease(tmp_path)
    dead = tmp_path / f"{'0' * 32}.lock"
    dead.touch()
    unlink, was_locked = Path.unlink, []

    def look_and_unlink(path: Path, missing_ok: bool = False) -> None:
        with path.open("r+") as newcomer:
            try:
                fcntl.flock(newcomer, fcntl.LOCK_EX | fcntl.LOCK_NB)
                was_locked.append(False)
            except BlockingIOError:
                was_locked.append(True)
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", look_and_unlink)
        ours.sweep()
    assert was_locked == [True] and not dead.exists()
    ours.release()


def test_the_folder_of_the_locks_is_closed_to_others(tmp_path: Path) -> None:
    PageLease(tmp_path / "pages").release()
    assert (tmp_path / "pages").stat().st_mode & 0o777 == 0o700


def test_an_id_that_is_none_is_dead(tmp_path: Path) -> None:
    lease = PageLease(tmp_path)
    (tmp_path.parent / "outside.lock").write_text("")
    for page_id in ("", "../outside", "0" * 32, "x"):
        assert not lease.alive(page_id)
    lease.release()
