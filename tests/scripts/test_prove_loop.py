"""The loop in small, in the real page: ten corrections and four steps teach little, but by every step of the way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import prove_loop
from tests.browser.running_page import environment

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "--corrections", "10", "--questions", "4", "--old-questions", "1", "--mixed", "4", "--by-hand", "1",
    "--set", "max_steps=4", "--set", "num_asked=2", "--set", "held_out_share=0.2",
)  # fmt: skip

pytestmark = pytest.mark.skipif(
    not (ROOT / "model/demo/model.safetensors").is_file(),
    reason="model/demo has no weights yet; make demo-model trains them",
)


@pytest.mark.timeout(900)
def test_the_loop_closes_in_small_and_says_which_aim_four_steps_miss(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    runs = ROOT / "runs"
    before = set(runs.iterdir()) if runs.is_dir() else set()
    status = prove_loop.main(list(SMALL))
    told = capsys.readouterr()
    assert "The loop did not close" not in told.err, told.err
    assert "| **the new skill, all** | **0 of 4 (0%)** |" in told.out, told.out
    assert (
        re.search(r"step +4 +loss \d", told.out)
        and "Trained by the recipe `lora` on 10 corrections" in told.out
    )
    assert status == 1 and "of the new questions are right; aimed at 80%" in told.err
    left = {path for path in runs.iterdir() if path.is_dir()} - before
    assert not left, "the run is deleted with its folder"
