"""One tiny base model and one small data set for all tests of the trainer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.training.small_run import write_data


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with random weights."""
    from tests.model.tiny import write_tiny_checkpoint

    return write_tiny_checkpoint(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve records with a picture and eight without."""
    return write_data(tmp_path_factory.mktemp("data"))
