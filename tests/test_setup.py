"""What the two commands install is what the code imports, and the README's head says the same."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import install_chromium
from tests.test_layout import PACKAGES, house, imports

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"([A-Za-z0-9_.\[\]-]+)==([A-Za-z0-9.+]+)")
# Read by other libraries, not imported by us: 4-bit loading and device maps in transformers.
NEEDED_BUT_NOT_IMPORTED = {"bitsandbytes", "accelerate", "peft"}

# Imported by one program, which the bench runs in an environment of its own: module -> distribution.
PEERS = {"gguf": "gguf", "llama_cpp": "llama-cpp-python"}


def pins(name: str) -> dict[str, str]:
    """The pins of one requirements file: package name in its canonical form -> version."""
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    found = {}
    for line in lines:
        if line and not line.startswith("-r "):
            match = PIN.fullmatch(line)
            assert match, f"{name}: {line!r} is not an exact pin"
            found[canonical(match[1].partition("[")[0])] = match[2]  # extras are not part of a name
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_distributions(*homes: str) -> dict[str, str]:
    """Distribution name -> a file that imports it, over the packages named."""
    providers = {**importlib.metadata.packages_distributions(), **{name: [PEERS[name]] for name in PEERS}}
    found: dict[str, str] = {}
    for path, source in house().items():
        if path.split("/")[0] not in homes:
            continue
        for name in imports(path, source):
            top = name.split(".")[0]
            if top and top not in sys.stdlib_module_names and top not in PACKAGES:
                assert top in providers, f"{path} imports {top}, which nothing installed provides"
                found.setdefault(canonical(providers[top][0]), path)
    return found


def test_the_program_pins_all_that_it_imports() -> None:
    imported = imported_distributions("app", "app.py", "model", "conversations")
    unpinned = {name: path for name, path in imported.items() if name not in pins("requirements.txt")}
    assert unpinned == {}


def test_the_tests_and_scripts_pin_all_that_they_import() -> None:
    """Some scripts, as the one that measures the page in a browser, need what the tests need, and one the peers."""
    known = pins("requirements.txt") | pins("requirements-dev.txt") | pins("requirements-peers.txt")
    imported = imported_distributions("tests", "scripts")
    assert {name: path for name, path in imported.items() if name not in known} == {}


def test_what_is_pinned_is_what_is_installed() -> None:
    for name, version in (pins("requirements.txt") | pins("requirements-dev.txt")).items():
        assert importlib.metadata.version(name).split("+")[0] == version, name


def test_torch_is_pinned_where_set_up_looks_for_it() -> None:
    assert (ROOT / "requirements.txt").read_text().count("\ntorch==2.13.0\n") == 1


def test_the_readme_tells_a_space_the_same_gradio() -> None:
    head = (ROOT / "README.md").read_text().split("---")[1]
    fields = dict(line.split(": ", 1) for line in head.strip().splitlines() if ": " in line)
    assert fields["sdk_version"] == pins("requirements.txt")["gradio"]
    assert (ROOT / fields["app_file"]).name == "app.py"
    assert fields["license"] == "apache-2.0"


@pytest.mark.parametrize("target", ["run", "test", "check", "nightly", "demo-model", "bench"])
def test_make_knows_the_command(target: str) -> None:
    command = ["make", "--dry-run", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_a_python_make_says_what_to_do(tmp_path: Path) -> None:
    """On a PATH with a shell but no Python: one sentence and the remedy, and nothing is left behind."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "make"):
        (tools / name).symlink_to(_which(name))
    (tmp_path / "requirements.txt").write_text("torch==2.13.0\n")
    command = [str(tools / "make"), "-f", str(ROOT / "Makefile"), "run"]
    environment = {"PATH": str(tools)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_shim_for_a_missing_python_is_passed_over(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "make"):
        (tools / name).symlink_to(_which(name))
    _write_program(tools / "python3.13", "echo 'command not found' >&2; exit 127")
    _write_program(tools / "python3.12", 'if [ "$1" = -m ]; then echo "made $4" > made; fi; exit 0')
    command = [str(tools / "make"), "-f", str(ROOT / "Makefile"), ".venv/bin/python"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made").read_text() == "made .venv\n"


def test_a_chromium_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_program(tmp_path / "chromium-browser", "echo 'please install the snap' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert install_chromium.find_chromium() is None
    _write_program(tmp_path / "google-chrome", "echo 'Google Chrome 140'")
    assert install_chromium.find_chromium() == str(tmp_path / "google-chrome")


def test_apt_is_left_alone_by_who_is_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert install_chromium.install_with_apt() is False


def _write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _which(name: str) -> str:
    path = shutil.which(name)
    assert path, f"{name} is needed by this test"
    return path
