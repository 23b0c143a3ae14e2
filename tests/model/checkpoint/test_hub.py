"""From the Hub by the real client, against a server here: pinned, with progress, taken up again; each fault is told."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants

from model import checkpoint
from model.checkpoint import (
    CheckpointNotFound,
    Hub,
    HubError,
    IncompleteCheckpoint,
    NoRoom,
    Progress,
    UnsupportedCheckpoint,
)
from tests.model.checkpoint.hub_server import COMMIT, HubServer
from tests.model.tiny import write_tiny_checkpoint

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("hub") / "tiny")
    (folder / "model.py").write_text("raise SystemExit('code of a checkpoint was run')")
    (folder / "pytorch_model.bin").write_bytes(b"never downloaded: the same weights lie here in safetensors")
    return folder


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The suite runs with the library's offline mode; these tests have a Hub of their own."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        constants, "DOWNLOAD_CHUNK_SIZE", 10_000
    )  # what is lost of a cut file, by default 10 MB
    close_session()
    yield
    close_session()


@pytest.fixture
def served(written: Path, tmp_path: Path) -> Iterator[HubServer]:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "qwen2_vl"}')
    (other / "model.safetensors").write_bytes(b"x" * 1000)
    models = {"org/tiny": written, "org/gated": written, "org/other": other}
    with HubServer(models, gated=frozenset({"org/gated"})).running() as server:
        yield server


def hub(server: HubServer, tmp_path: Path, told: list[Progress] | None = None) -> Hub:
    return Hub(
        cache=tmp_path / "cache", endpoint=server.endpoint, on_download=None if told is None else told.append
    )


def files_asked(server: HubServer) -> set[str]:
    return {name for name, _ in server.asked}


def test_a_model_is_downloaded_once_pinned_and_told_how_far_it_is(
    served: HubServer, written: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told: list[Progress] = []
    loaded = checkpoint.load("org/tiny", hub=hub(served, tmp_path, told), device="cpu")
    assert loaded.name == "org/tiny"
    assert loaded.template.name == "llava_v0"
    assert f"org/tiny@{COMMIT}" in caplog.text
    size = (written / "model.safetensors").stat().st_size
    assert (told[-1].done_bytes, told[-1].total_bytes, told[-1].fraction) == (size, size, 1.0)
    assert "Downloading org/tiny: " in caplog.text
    assert not files_asked(served) & {"model.py", "pytorch_model.bin"}
    served.asked.clear()
    checkpoint.load(f"org/tiny@{COMMIT}", hub=hub(served, tmp_path), device="cpu")
    assert not files_asked(served)


def test_a_download_that_was_cut_goes_on_where_it_was(
    served: HubServer, written: Path, tmp_path: Path
) -> None:
    served.cut_after, served.broken = 100_000, True
    with pytest.raises(HubError, match=r"model\.safetensors of org/tiny was cut off .*goes on where"):
        checkpoint.load("org/tiny", hub=hub(served, tmp_path), device="cpu")
    served.broken = False
    served.asked.clear()
    told: list[Progress] = []
    checkpoint.load("org/tiny", hub=hub(served, tmp_path, told), device="cpu")
    assert ("model.safetensors", "bytes=100000-") in served.asked
    assert told[-1].done_bytes == (written / "model.safetensors").stat().st_size


@pytest.mark.parametrize("name", ["org/tiny", "org/tiny@main", f"org/tiny@{COMMIT}"])
def test_without_a_network_what_was_downloaded_is_used_by_the_name_it_was_asked_for(
    served: HubServer, tmp_path: Path, name: str
) -> None:
    checkpoint.load(name, hub=hub(served, tmp_path), device="cpu")
    offline = Hub(cache=tmp_path / "cache", endpoint=_nowhere())
    assert checkpoint.load(name, hub=offline, device="cpu").name == name
    assert checkpoint.load(f"org/tiny@{COMMIT}", hub=offline, device="cpu").name == f"org/tiny@{COMMIT}"


def test_a_newer_commit_that_was_cut_leaves_the_older_one_to_be_used_without_a_network(
    served: HubServer, tmp_path: Path
) -> None:
    checkpoint.load("org/tiny", hub=hub(served, tmp_path), device="cpu")
    other = Path(shutil.copytree(served.models["org/tiny"], tmp_path / "newer"))
    write_tiny_checkpoint(other, seed=1)
    served.models["org/tiny"], served.commit = other, "f" * 40
    served.cut_after, served.broken = 100_000, True
    with pytest.raises(HubError, match="was cut off"):
        checkpoint.load("org/tiny", hub=hub(served, tmp_path), device="cpu")
    offline = Hub(cache=tmp_path / "cache", endpoint=_nowhere())
    assert offline.fetch("org/tiny").name == COMMIT
    with pytest.raises(HubError, match="cut off and is not complete"):
        offline.fetch("org/tiny@" + "f" * 40)


@pytest.mark.parametrize("name", ["org/tiny", f"org/tiny@{COMMIT}"])
def test_a_download_that_was_cut_is_told_as_such_without_a_network(
    served: HubServer, tmp_path: Path, name: str
) -> None:
    served.cut_after, served.broken = 100_000, True
    with pytest.raises(HubError, match="was cut off"):
        checkpoint.load("org/tiny", hub=hub(served, tmp_path), device="cpu")
    offline = Hub(cache=tmp_path / "cache", endpoint=_nowhere())
    said = rf"download of {name} was cut off and is not complete, .*cannot be reached .*goes on where it was"
    with pytest.raises(HubError, match=said):
        checkpoint.load(name, hub=offline, device="cpu")


def test_a_new_commit_of_the_same_files_needs_no_room(
    served: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.load("org/tiny", hub=hub(served, tmp_path), device="cpu")
    served.commit = "f" * 40
    served.asked.clear()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    told: list[Progress] = []
    assert hub(served, tmp_path, told).fetch("org/tiny").name == "f" * 40
    assert "model.safetensors" not in files_asked(served) and told == []


def test_what_was_left_of_other_files_is_not_taken_for_a_part_of_this_one(
    served: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = tmp_path / "cache" / "models--org--tiny" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / ("0" * 64 + ".part")).write_bytes(b"x" * 1_000_000)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=200_100_000))
    with pytest.raises(NoRoom, match=r"org/tiny needs 0\.\d GB more"):
        hub(served, tmp_path).fetch("org/tiny")


def test_without_a_network_what_was_not_downloaded_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        HubError, match=r"no folder org/tiny, and the Hub cannot be reached .*connect.*give its folder"
    ):
        checkpoint.load("org/tiny", hub=Hub(cache=tmp_path, endpoint=_nowhere()))


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("org/gated", HubError, r"org/gated is gated: accept its terms at http.*/org/gated.*hf auth login"),
        (
            "org/none",
            CheckpointNotFound,
            r"no folder org/none and no model of that name on the Hub, or it is private",
        ),
        ("org/tiny@v9", HubError, r"org/tiny has no revision 'v9'"),
        (
            "org/other",
            UnsupportedCheckpoint,
            r"another architecture.*'qwen2_vl'.*Nothing more was downloaded",
        ),
        ("no such folder", CheckpointNotFound, r"no folder no such folder; give .*llava-hf/llava-1\.5-7b-hf"),
        *(
            (name, CheckpointNotFound, rf"no folder {name}, and no model on the Hub can have that name; give")
            for name in ("a/b--c", "runs/job--1", "foo/bar.git", "a/b..c", "a/" + "b" * 97)
        ),
        ("x" * 300, CheckpointNotFound, r"no folder x+; give the path"),
    ],
)
def test_each_fault_has_its_own_sentence(
    served: HubServer, tmp_path: Path, name: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        checkpoint.load(name, hub=hub(served, tmp_path))
    assert not any(asked.endswith((".safetensors", ".bin")) for asked in files_asked(served))


def test_a_full_disk_is_found_before_anything_large_comes(
    served: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000))
    with pytest.raises(NoRoom, match=r"org/tiny needs 0\.\d GB more on the disk of .*HF_HOME"):
        checkpoint.load("org/tiny", hub=hub(served, tmp_path))
    assert "model.safetensors" not in files_asked(served)


def test_a_truncated_file_on_the_hub_is_named(served: HubServer, written: Path, tmp_path: Path) -> None:
    short = Path(shutil.copytree(written, tmp_path / "short"))
    data = (short / "model.safetensors").read_bytes()
    (short / "model.safetensors").write_bytes(data[:-500])
    served.models["org/short"] = short
    with pytest.raises(checkpoint.CheckpointFormatError, match=r"model\.safetensors is cut short or damaged"):
        checkpoint.load("org/short", hub=hub(served, tmp_path))


def test_a_tower_that_cannot_be_had_is_told_with_the_flag(served: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "v15"
    folder.mkdir()
    config = {"model_type": "llava_llama", "mm_vision_tower": "org/no-tower", "mm_projector_type": "linear"}
    (folder / "config.json").write_text(json.dumps(config))
    from safetensors.torch import save_file
    from torch import ones

    projector = {"model.mm_projector.weight": ones(4, 4), "model.mm_projector.bias": ones(4)}
    save_file({"model.norm.weight": ones(4), **projector}, folder / "model.safetensors")
    with pytest.raises(IncompleteCheckpoint, match=r"needs the picture tower org/no-tower.*--vision-tower"):
        checkpoint.load(folder, hub=hub(served, tmp_path))


def test_the_librarys_own_setting_names_the_hub(served: HubServer, tmp_path: Path) -> None:
    """HF_ENDPOINT is read by the library when it is imported, so a process of its own is asked."""
    code = "from model import checkpoint; print(checkpoint.load('org/tiny', device='cpu').name)"
    own = {"HF_ENDPOINT": served.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.stdout.strip() == "org/tiny", done.stderr


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (
            Progress("a/b", 1_200_000_000, 13_100_000_000, 245.0),
            "Downloading a/b: 1.2 of 13.1 GB, 4 min left",
        ),
        (Progress("a/b", 0, 5_000_000, None), "Downloading a/b: 0.0 of 5.0 MB"),
        (Progress("a/b", 4_000_000, 5_000_000, 7.4), "Downloading a/b: 4.0 of 5.0 MB, 7 s left"),
    ],
)
def test_progress_is_told_in_words(progress: Progress, words: str) -> None:
    assert progress.words == words


def _nowhere() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
