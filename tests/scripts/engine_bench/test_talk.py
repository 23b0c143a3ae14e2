"""What is asked: cold talks share nothing that could be reused, and are as long as they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from model import checkpoint
from scripts.engine_bench.random_model import TINY, write_random_model
from scripts.engine_bench.talk import Talks


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Talks:
    return Talks(checkpoint.load(write_random_model(tmp_path_factory.mktemp("tiny"), TINY)))


def test_cold_talks_share_no_more_than_the_first_token(talks: Talks) -> None:
    prompts = [talks.request(talks.cold(), 1) for _ in range(8)]
    assert len({prompt.input_ids[1:4] for prompt in prompts}) == 8
    assert len({prompt.pictures[0].sha256 for prompt in prompts}) == 8


def test_a_talk_is_filled_up_to_its_length(talks: Talks) -> None:
    assert len(talks.request(talks.cold(100), 1).input_ids) == 100
    assert len(talks.request(talks.cold(100, ()), 1).input_ids) == 100


def test_a_next_turn_begins_with_all_of_the_turn_before(talks: Talks) -> None:
    first = talks.cold(60)
    asked = talks.request(first, 1).input_ids
    again = talks.request(first.answered(talks.words(5), talks.words(6)), 1).input_ids
    assert again[: len(asked)] == asked


def test_the_same_seed_asks_the_same(tmp_path: Path) -> None:
    loaded = checkpoint.load(write_random_model(tmp_path, TINY))
    one, other = (Talks(loaded, seed=3) for _ in range(2))
    assert one.request(one.cold(), 1) == other.request(other.cold(), 1)
