"""The command that the form shows does what the form orders: the programs read it as the very same."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from app import training_command
from app.jobs import Jobs
from app.settings import ROOT, Settings
from app.training_command import RUN, shell_lines
from app.training_sources import SELECTION_FILE, Choice
from conversations.filters import Filters
from conversations.selection import Selection
from conversations.store import ConversationStore
from model.training.config import DataSource, TrainingConfig
from model.training.recipes import config_for
from scripts import export_training_json, train

DEMO = str(ROOT / "model" / "demo")


def lines(
    store: ConversationStore, tmp_path: Path, choice: Choice, config: TrainingConfig, url: str
) -> list[str]:
    jobs = Jobs(store.jobs, tmp_path / "runs", environment={})
    return shell_lines(jobs.command_line, choice, config, url).split("\n")


def trained(line: str, folder: Path) -> TrainingConfig:
    """The config that the trainer makes of the command, in another folder."""
    words = shlex.split(line)
    assert words[1:3] == ["-m", "scripts.train"]
    words[words.index("--run") + 1] = str(folder)
    return train._config(train._parser().parse_args(words[3:]), train.RunFolder(folder))


def test_a_selection_is_exported_as_it_was_chosen_and_trained_on_from_there(
    store: ConversationStore, tmp_path: Path
) -> None:
    chosen = Choice("library", Selection(Filters(corrected=True, text="two words; rm -rf")))
    config = config_for(
        "lora", DEMO, (DataSource(SELECTION_FILE),), text_width=128, max_steps=7, device="cpu"
    )
    export, train_line = lines(store, tmp_path, chosen, config, "sqlite:////data/chats.db")
    words = shlex.split(export)
    assert words[:3] == ["python", "-m", "scripts.export_training_json"]
    given = export_training_json._arguments(words[3:])
    assert given.out == RUN / "data" and given.database_url == "sqlite:////data/chats.db"
    assert export_training_json._order(given).selection == chosen.selection
    written = DataSource(str(RUN / "data" / "train.json"), str(RUN / "data" / "images"))
    assert trained(train_line, tmp_path / "run") == replace(config, data=(written,))


def test_the_folder_of_the_command_is_free(
    store: ConversationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_command, "ROOT", tmp_path)
    config = config_for("lora", DEMO, (DataSource("/data/a.json"),))
    choice = Choice("file", name="/data/a.json")
    for taken in ("my-run", "my-run-2"):
        (tmp_path / "runs" / taken).mkdir(parents=True)
    (line,) = lines(store, tmp_path, choice, config, Settings.database_url)
    assert shlex.split(line)[4] == str(tmp_path / "runs" / "my-run-3")


def test_a_file_is_one_command_and_the_usual_database_is_not_named(
    store: ConversationStore, tmp_path: Path
) -> None:
    source = DataSource("/data/a b/train.json", "/data/a b/images", 0.5)
    config = config_for("qlora", "some/model", (source,), learning_rate=3e-5)
    (line,) = lines(store, tmp_path, Choice("file", name=source.file), config, Settings.database_url)
    assert trained(line, tmp_path / "run") == config
    export, _ = lines(store, tmp_path, Choice("library", Selection()), config, Settings.database_url)
    assert "--database-url" not in export


def test_sources_with_pictures_in_two_places_come_as_a_config(
    store: ConversationStore, tmp_path: Path
) -> None:
    sources = (DataSource("/a/train.json", "/a"), DataSource("/b/train.json", "/b/images", 0.25))
    config = config_for("lora", DEMO, sources)
    text = "\n".join(
        lines(store, tmp_path, Choice("file", name="/a/train.json"), config, Settings.database_url)
    )
    begin, end = text.index("{"), text.rindex("}") + 1
    assert TrainingConfig.from_dict(json.loads(text[begin:end])) == config
