"""Loading and unloading adapters by vLLM's convention, around an engine that takes any folder but a broken one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.door.adapter_shelf import AdapterShelf
from tests.model.door.asking import HI, Door, ready
from tests.model.door.scripted_engine import ScriptedEngine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("kind", "broken"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def door(engine: ScriptedEngine, root: Path) -> Door:
    return Door(ready(engine), "secret", shelf=AdapterShelf(root, "scripted"))


def load(door: Door, name: object = "kind", path: object = "kind", **more: Any) -> Any:
    return door.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path, **more})


def unload(door: Door, name: object = "kind") -> Any:
    return door.post("/v1/unload_lora_adapter", {"lora_name": name})


def test_a_loaded_adapter_is_listed_with_its_parent_and_can_be_asked_for(
    door: Door, engine: ScriptedEngine, root: Path
) -> None:
    loaded = load(door)
    assert loaded.status_code == 200 and loaded.text == "Success: LoRA adapter 'kind' added successfully."
    assert engine.loaded == {"kind": root / "kind"}
    base, adapter = door.get("/v1/models").json()["data"]
    assert (base["id"], base["root"], base["parent"]) == ("scripted", "scripted", None)
    assert (adapter["id"], adapter["root"], adapter["parent"]) == ("kind", "kind", "scripted")
    assert base["max_model_len"] == 2048 and str(root) not in door.get("/v1/models").text
    assert door.get("/v1/models/kind").json() == adapter
    answer = door.post("/v1/chat/completions", {**HI, "model": "kind"})
    assert answer.json()["model"] == "kind" and engine.asked[-1].model == "kind"
    assert door.post("/v1/chat/completions", HI).json()["model"] == "scripted"
    assert door.get("/health").json()["adapters"] == ["kind"]


def test_an_unloaded_adapter_is_not_found_any_more(door: Door) -> None:
    load(door)
    assert unload(door).text == "Success: LoRA adapter 'kind' removed successfully."
    assert door.post("/v1/chat/completions", {**HI, "model": "kind"}).status_code == 404
    assert unload(door).status_code == 404


def test_what_was_loaded_is_what_the_next_worker_begins_with(door: Door, root: Path) -> None:
    load(door)
    assert AdapterShelf(root, "scripted").remembered() == {"kind": root / "kind"}
    unload(door)
    assert AdapterShelf(root, "scripted").remembered() == {}


@pytest.mark.parametrize(
    ("name", "path", "status", "words"),
    [
        ("kind", "../elsewhere", 400, "below the worker's --adapter-root"),
        ("kind", "gone", 404, "no folder 'gone'"),
        ("kind", "broken", 400, "adapter_config.json"),
        ("scripted", "kind", 400, "base model's name"),
        ("a b", "kind", 400, "lora_name"),
        (None, "kind", 400, "lora_name is null"),
        ("kind", 3, 400, "lora_path is 3"),
    ],
)
def test_what_cannot_be_loaded_is_refused_and_not_remembered(
    door: Door, root: Path, name: object, path: object, status: int, words: str
) -> None:
    refused = load(door, name, path)
    assert refused.status_code == status and words in refused.json()["error"]["message"]
    assert AdapterShelf(root, "scripted").remembered() == {}


def test_one_that_is_loaded_already_is_replaced_only_when_asked_to(door: Door) -> None:
    load(door)
    assert "loaded already" in load(door).json()["error"]["message"]
    assert load(door, load_inplace=True).status_code == 200


def test_without_a_root_or_a_token_none_is_loaded_and_the_page_is_told(
    engine: ScriptedEngine, root: Path
) -> None:
    rootless = Door(ready(engine), "secret")
    tokenless = Door(ready(engine), shelf=AdapterShelf(root, "scripted"))
    for door, words in ((rootless, "without --adapter-root"), (tokenless, "without a token")):
        for refused in (load(door), unload(door)):
            assert refused.status_code == 403 and words in refused.json()["error"]["message"]
        assert "adapters" not in door.get("/health").json()["features"]
    assert engine.loaded == {}


def test_a_wrong_token_loads_nothing(door: Door, engine: ScriptedEngine) -> None:
    wrong = {"Authorization": "Bearer guessed"}
    body = {"lora_name": "kind", "lora_path": "kind"}
    assert door.post("/v1/load_lora_adapter", body, wrong).status_code == 401 and engine.loaded == {}
    assert "adapters" in door.get("/health").json()["features"]


def test_a_body_that_is_too_large_is_refused_without_advice_about_pictures(tmp_path: Path) -> None:
    door = Door(ready(ScriptedEngine()), "secret", shelf=AdapterShelf(tmp_path, "scripted"))
    refused = door.post("/v1/load_lora_adapter", {"lora_name": "x" * 20_000, "lora_path": "a"})
    message = refused.json()["error"]["message"]
    assert refused.status_code == 413 and "0.01 MB" in message
    assert "lora_path" in message and "picture" not in message
