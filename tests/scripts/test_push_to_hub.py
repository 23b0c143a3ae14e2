"""The folder that is uploaded works as its card says, and what a Hub gets is that folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from scripts.push_to_hub import main
from tests.model.checkpoint_export.models import ROOT, picture
from tests.model.tiny import write_tiny_checkpoint

from .local_hub import TOKEN, local_hub


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "trained")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    """A Hub on this machine, for this process."""
    with local_hub() as running:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", running.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield running


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_dry_run_writes_the_folder_prints_the_plan_and_touches_no_network(
    tmp_path: Path, model: Path, hub, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["me/shapes", "--model", str(model), "--folder", str(out), "--dry-run"]) == 0
    said, told = capsys.readouterr()
    assert "The weights' keys are those of llava-hf." in told
    assert "To me/shapes" in said and "Nothing was uploaded" in said
    for name, data in contents(out).items():
        assert re.search(rf"{len(data):,}  {re.escape(name)}$", said, re.MULTILINE), name
    assert {"README.md", "config.json", "model.safetensors", "chat_template.jinja"} <= contents(out).keys()
    assert hub.repos == {}


def test_the_program_on_the_card_runs_on_the_folder(tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    main(["me/shapes", "--model", str(model), "--folder", str(out), "--dry-run"])
    (program,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)
    picture().save(tmp_path / "picture.png")
    program = program.replace("me/shapes", str(out)).replace("max_new_tokens=200", "max_new_tokens=3")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_what_is_told_stands_on_the_card(tmp_path: Path, model: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"learning_rate": 2e-05, "lora": {"rank": 8}}))
    (tmp_path / "scores.json").write_text(json.dumps({"colour": 0.98, "count": 0.92}))
    arguments = [
        "me/shapes", "--model", str(model), "--folder", str(tmp_path / "out"), "--dry-run", "--license", "apache-2.0",
        "--base-model", "lmsys/vicuna-7b-v1.5", "--dataset", "me/drawings", "--dataset", "me/chats", "--language", "en",
        "--settings", str(tmp_path / "settings.json"), "--scores", str(tmp_path / "scores.json"),
    ]  # fmt: skip
    assert main(arguments) == 0
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert (card.data.license, card.data.base_model) == ("apache-2.0", "lmsys/vicuna-7b-v1.5")
    assert card.data.datasets == ["me/drawings", "me/chats"]
    assert card.data.pipeline_tag == "image-text-to-text"
    assert {(score.metric_name, score.metric_value) for score in card.data.eval_results} == {
        ("colour", 0.98),
        ("count", 0.92),
    }
    for told in (
        "| learning_rate | 2e-05 |",
        '| lora | {"rank": 8} |',
        "| colour | 0.98 |",
        "vicuna-7b",
        "me/chats",
    ):
        assert told in card.text


def test_what_is_not_told_is_not_made_up(tmp_path: Path, model: Path) -> None:
    main(["me/shapes", "--model", str(model), "--folder", str(tmp_path / "out"), "--dry-run"])
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.license is None and card.data.base_model is None and card.data.eval_results is None
    for said in ("No licence was named", "was not told", "No scores were told"):
        assert said in card.text


def test_the_card_of_the_shipped_model_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["me/drawn-world", "--folder", str(out), "--dry-run", "--dataset", "me/drawings"]) == 0
    written, present = (
        ModelCard.load(out / "README.md"),
        ModelCard.load(ROOT / "model" / "demo" / "README.md"),
    )
    assert present.text.strip() in written.text
    assert written.data.license == present.data.license
    assert set(present.data.tags) <= set(written.data.tags)
    assert "AutoProcessor" in written.text and "me/drawings" in written.text


def test_an_upload_puts_the_folder_on_a_hub(tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    with local_hub() as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
        environment.pop("HF_HUB_OFFLINE", None)
        done = subprocess.run(
            [sys.executable, "-m", "scripts.push_to_hub", "me/shapes", "--model", str(model), "--folder", str(out),
             "--private", "--message", "First"],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"Uploaded: {hub.url}/me/shapes/commit/" in done.stdout
        assert hub.repos["me/shapes"]["visibility"] == "private"
        assert hub.files("me/shapes") == contents(out)
        assert hub.messages == ["First"]
        assert set(hub.cards) == {(out / "README.md").read_text()}


def test_a_second_upload_goes_to_the_same_place(tmp_path: Path, model: Path, hub) -> None:
    arguments = ["me/shapes", "--model", str(model), "--folder", str(tmp_path / "out"), "--overwrite"]
    assert main(arguments) == 0
    assert main([*arguments, "--revision", "smaller"]) == 0
    assert hub.files("me/shapes", "smaller") == hub.files("me/shapes") == contents(tmp_path / "out")


def test_a_token_that_may_not_write_is_told(
    tmp_path: Path, model: Path, hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    assert main(["me/shapes", "--model", str(model), "--folder", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "hf auth login" in said and "status 401" in said and "hf_of_somebody_else" not in said
    assert contents(tmp_path / "out")


def test_a_hub_that_is_not_there_is_told(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert main(["me/shapes", "--model", str(model), "--folder", str(tmp_path / "out")]) == 1
    assert "cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a/b/c"], "'a/b/c' is no name on the Hub"),
        (["me/shapes", "--scores", "nowhere.json"], "nowhere.json"),
        (["me/shapes", "--scores", "{words}"], "names and numbers"),
        (["me/shapes", "--settings", "{list}"], "settings are a JSON object"),
        (["me/shapes", "--settings", "{broken}"], "no readable JSON"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    files = {"words": '{"colour": "good"}', "list": "[1]", "broken": "{"}
    for name, text in files.items():
        (tmp_path / f"{name}.json").write_text(text)
    given = [argument.format(**{name: tmp_path / f"{name}.json" for name in files}) for argument in arguments]
    assert main([*given, "--model", str(model), "--folder", str(tmp_path / "out"), "--dry-run"]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_card_with_a_broken_head_is_named(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = model / "README.md"
    card.write_text("---\ntags: [\n---\n# Shapes\n")
    try:
        assert main(["me/shapes", "--model", str(model), "--folder", str(tmp_path / "out"), "--dry-run"]) == 1
    finally:
        card.unlink()
    assert "README.md" in capsys.readouterr().err
