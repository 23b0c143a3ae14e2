"""The drawing in docs/architecture.md, kept true: imports point down, each heavy library has one owner.

The rules are functions over {path: source}, so that each is also seen to fail on a house that breaks it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("app", "model", "conversations", "scripts", "tests")

MAY_IMPORT = {
    "app": {"app", "model", "conversations"},
    "model": {"model", "conversations"},
    "conversations": {"conversations"},
    "scripts": {"app", "model", "conversations", "scripts"},
    "tests": set(PACKAGES),
    "app.py": {"app"},
}
OWNERS = {
    "gradio": {"app", "tests"},
    "torch": {"model", "scripts", "tests"},
    "transformers": {"model", "scripts", "tests"},
    "peft": {"model", "scripts", "tests"},
    "accelerate": {"model", "scripts", "tests"},
    "bitsandbytes": {"model", "scripts", "tests"},
    "sqlalchemy": {"conversations", "tests"},
    "alembic": {"conversations", "tests"},
}
HEAVY_OF_THE_MODEL = {"torch", "transformers", "peft", "accelerate", "bitsandbytes"}
SHARED_BY_SCRIPTS = (
    "scripts.checkpoint_bench",
    "scripts.demo_world",
    "scripts.engine_bench",
    "scripts.loop_proof",
    "scripts.store_bench",
    "scripts.training_bench",
)
NAMES_THAT_SAY_NOTHING = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
INSTALLED_NAMES = {"datasets", "evaluate"}
LONGEST_FILE = 350
LONGEST_TEST_FILE = 800

Sources = Mapping[str, str]


# --- reading --------------------------------------------------------------------------------------


def house() -> dict[str, str]:
    """Every Python file of ours: path relative to the root -> source."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    files += [path for path in (ROOT / "app.py",) if path.exists()]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(files)}


def module_name(path: str) -> str:
    """model/engine/request.py -> model.engine.request; a package's __init__.py -> the package."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(path: str, source: str) -> Iterator[str]:
    """The dotted names that a file imports, wherever in it, made absolute; those for type checking left out.

    `from a.b import c` gives both a.b and a.b.c, since c may be a module.
    """
    package = module_name(path).split(".")
    if not path.endswith("__init__.py"):
        package = package[:-1]
    for node in _nodes_that_run(ast.parse(source, filename=path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`, which never run."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from (node for other in child.orelse for node in (other, *_nodes_that_run(other)))
            continue
        yield child
        yield from _nodes_that_run(child)


def _home(path: str) -> str:
    return path.split("/")[0]


# --- the rules: each yields sentences about what breaks it ----------------------------------------


def imports_that_point_up(sources: Sources) -> Iterator[str]:
    for path, source in sources.items():
        for name in imports(path, source):
            top = name.split(".")[0]
            if top in PACKAGES and top not in MAY_IMPORT[_home(path)]:
                yield f"{path} imports {name}: only {sorted(MAY_IMPORT[_home(path)])} may be imported there"


def libraries_away_from_home(sources: Sources) -> Iterator[str]:
    for path, source in sources.items():
        for name in imports(path, source):
            owners = OWNERS.get(name.split(".")[0])
            if owners is not None and _home(path) not in owners:
                yield f"{path} imports {name}, which belongs to {sorted(owners)}"


def scripts_that_import_each_other(sources: Sources) -> Iterator[str]:
    for path, source in sources.items():
        if _home(path) != "scripts":
            continue
        for name in imports(path, source):
            if name == "scripts" or not name.startswith("scripts."):
                continue
            if not f"{name}.".startswith(tuple(f"{shared}." for shared in SHARED_BY_SCRIPTS)):
                yield f"{path} imports {name}: scripts share only {' and '.join(SHARED_BY_SCRIPTS)}"


def ways_from_the_page_to_torch(sources: Sources) -> Iterator[str]:
    """Follows the page's imports through our own modules, their packages' __init__ files included."""
    by_module = {module_name(path): path for path in sources}
    waiting = [module for module in by_module if module.split(".")[0] == "app"]
    came_from = {module: module for module in waiting}
    while waiting:
        module = waiting.pop()
        path = by_module[module]
        for name in imports(path, sources[path]):
            if name.split(".")[0] in HEAVY_OF_THE_MODEL:
                yield f"{came_from[module]} reaches {name} by way of {path}"
            parts = name.split(".")
            for reached in (".".join(parts[:length]) for length in range(1, len(parts) + 1)):
                if reached in by_module and reached not in came_from:
                    came_from[reached] = came_from[module]
                    waiting.append(reached)


def names_that_mislead(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        for part in Path(path).parts:
            if part.removesuffix(".py") in NAMES_THAT_SAY_NOTHING:
                yield f"{path}: a file is called by its one noun, not {part}"


def root_names_that_hide_others(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        plain = name.removesuffix(".py")
        if plain in INSTALLED_NAMES or plain in sys.stdlib_module_names:
            yield f"{name} in the root would hide the installed package {plain}"


def folders_of_tests_without_init(paths: Iterable[str]) -> Iterator[str]:
    known = set(paths)
    for folder in sorted({Path(path).parent for path in known if _home(path) == "tests"}):
        if (folder / "__init__.py").as_posix() not in known:
            yield f"{folder.as_posix()} needs an __init__.py, or its files hide the packages that they test"


def files_too_long(sources: Sources) -> Iterator[str]:
    for path, source in sources.items():
        limit = LONGEST_TEST_FILE if _home(path) == "tests" else LONGEST_FILE
        num_lines = source.count("\n")
        if num_lines > limit:
            yield f"{path} has {num_lines} lines; over {limit} there is a second noun in it"


# --- the house keeps them -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        imports_that_point_up,
        libraries_away_from_home,
        scripts_that_import_each_other,
        ways_from_the_page_to_torch,
        names_that_mislead,
        folders_of_tests_without_init,
        files_too_long,
    ],
    ids=lambda rule: rule.__name__,
)
def test_the_house_keeps_the_rule(rule) -> None:
    assert list(rule(house())) == []


def test_no_name_in_the_root_hides_an_installed_package() -> None:
    names = [path.name for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    assert list(root_names_that_hide_others(names)) == []


def test_every_package_has_its_init() -> None:
    missing = [package for package in PACKAGES if not (ROOT / package / "__init__.py").exists()]
    assert missing == []


def test_the_page_runs_without_torch_in_its_process() -> None:
    modules = sorted(module_name(path) for path in house() if _home(path) == "app")
    program = (
        f"import importlib, sys; [importlib.import_module(name) for name in {modules!r}]; "
        f"print(sorted({HEAVY_OF_THE_MODEL!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


# --- each rule is seen to fail --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "sources"),
    [
        (imports_that_point_up, {"conversations/store.py": "from model import prompt"}),
        (imports_that_point_up, {"model/worker.py": "def f():\n    import app.settings"}),
        (imports_that_point_up, {"model/engine/queue.py": "from ...app import page"}),
        (imports_that_point_up, {"app/page.py": "from scripts.demo_world import scene"}),
        (libraries_away_from_home, {"model/worker.py": "import gradio as gr"}),
        (libraries_away_from_home, {"app/turns.py": "from sqlalchemy import select"}),
        (libraries_away_from_home, {"app.py": "import torch"}),
        (scripts_that_import_each_other, {"scripts/a_b.py": "from scripts import c_d"}),
        (scripts_that_import_each_other, {"scripts/demo_world/scene.py": "from ..train_model import main"}),
        (scripts_that_import_each_other, {"scripts/a_b.py": "import scripts.engine_benches"}),
        (ways_from_the_page_to_torch, {"app/turns.py": "from transformers import AutoTokenizer"}),
        (
            ways_from_the_page_to_torch,
            {
                "app/turns.py": "from model.engine.request import SamplingSettings",
                "model/__init__.py": "",
                "model/engine/__init__.py": "from .simple import SimpleEngine",
                "model/engine/simple.py": "import torch",
                "model/engine/request.py": "",
            },
        ),
        (names_that_mislead, {"app/utils.py": ""}),
        (names_that_mislead, {"model/common/shape.py": ""}),
        (root_names_that_hide_others, {"datasets": ""}),
        (root_names_that_hide_others, {"queue.py": ""}),
        (folders_of_tests_without_init, {"tests/__init__.py": "", "tests/app/test_page.py": ""}),
        (files_too_long, {"app/page.py": "x = 1\n" * (LONGEST_FILE + 1)}),
    ],
)
def test_a_house_that_breaks_the_rule_is_told_so(rule, sources: Sources) -> None:
    assert list(rule(sources)) != []


@pytest.mark.parametrize(
    ("rule", "sources"),
    [
        (imports_that_point_up, {"app/turns.py": "from conversations.store import ConversationStore"}),
        (scripts_that_import_each_other, {"scripts/a_b.py": "from scripts.demo_world import scene"}),
        (scripts_that_import_each_other, {"scripts/a_b.py": "import scripts.engine_bench"}),
        (
            ways_from_the_page_to_torch,
            {"app/turns.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"},
        ),
    ],
)
def test_what_is_allowed_is_left_alone(rule, sources: Sources) -> None:
    assert list(rule(sources)) == []
