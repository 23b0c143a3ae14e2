"""Nothing in the page's coroutines waits for a disk, a database or a clock: one that does holds up everybody's page.

As in tests/test_layout.py the rule is a function over a source, so that it is also seen to fail.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parents[2] / "app"

OF_FILES = {
    "open", "close", "read_text", "read_bytes", "write_text", "write_bytes", "stat", "lstat", "exists", "is_file",
    "is_dir", "mkdir", "rmdir", "unlink", "touch", "iterdir", "glob", "rglob", "symlink_to",
}  # fmt: skip
"""Methods that wait, whatever they are called on."""

MODULES = {"sqlite3", "shutil", "subprocess", "tempfile", "zipfile", "socket", "os"}
COLLABORATORS = {"store", "images", "drafts", "exports", "copies", "results", "history", "exchange"}
"""What is called so looks at the disk or the database."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def blocking_calls(source: str) -> Iterator[str]:
    """Line and call of everything that waits in a coroutine, or in a function of the same file that it calls itself.

    What is handed on by its name, as to run_in_threadpool, is not called here; what is awaited does not hold up others.
    """
    tree = ast.parse(source)
    plain = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    waiting: list[Function] = [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]
    seen: set[Function] = set()
    while waiting:
        function = waiting.pop()
        if function in seen:
            continue
        seen.add(function)
        for call in _own_calls(function):
            name = ast.unparse(call.func)
            if _waits(name):
                yield f"line {call.lineno}: {name}(...) in {function.name}"
            if (called := plain.get(name.removeprefix("self."))) is not None:
                waiting.append(called)


def _own_calls(function: Function) -> Iterator[ast.Call]:
    """The calls that run when this function does, without those that are awaited."""
    nodes: list[ast.AST] = list(function.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            children = list(ast.iter_child_nodes(node.value))
        elif isinstance(node, ast.Call):
            yield node
        nodes += children


def _waits(name: str) -> bool:
    *receiver, last = name.replace("()", "").split(".")
    if not receiver:
        return last in ("open", "sleep", "input")
    parts = {part.strip("_") for part in receiver}
    return (
        last in OF_FILES
        or name == "time.sleep"
        or bool(parts & COLLABORATORS)
        or (receiver[0] in MODULES and "environ" not in parts)
    )


def test_no_coroutine_of_the_page_waits_itself() -> None:
    files = sorted(APP.rglob("*.py"))
    assert len(files) > 50  # so that a walk that finds nothing does not pass
    found = {path.name: list(blocking_calls(path.read_text(encoding="utf-8"))) for path in files}
    assert {name: calls for name, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "body",
    [
        "with file.open('xb') as place: pass",
        "with open(name) as place: pass",
        "Path(name).read_text()",
        "folder.joinpath(name).write_bytes(data)",
        "time.sleep(1)",
        "self._store.load(owner, id)",
        "self._store.history.tags(owner)",
        "await send(self._store.load(owner, id))",
        "sqlite3.connect(name)",
        "shutil.rmtree(folder)",
        "os.replace(one, other)",
        "find()",
        "self.find()",
        "async with lock: find()",
    ],
)
def test_what_waits_is_found(body: str) -> None:
    source = f"def find():\n    return path.read_bytes()\n\nasync def handler(self):\n    {body}\n"
    assert len(list(blocking_calls(source))) == 1


@pytest.mark.parametrize(
    "body",
    [
        "await run_in_threadpool(self._store.load, owner, id)",
        "await run_in_threadpool(find)",
        "await run_in_threadpool(lambda: path.read_text())",
        "await anyio.Path(name).read_text()",
        "async with await anyio.open_file(file, 'xb') as place: await place.write(piece)",
        "await asyncio.sleep(1)",
        "name.replace('a', 'b')",
        "os.environ.get('HOME')",
    ],
)
def test_what_does_not_wait_is_let_pass(body: str) -> None:
    source = f"def find():\n    return path.read_bytes()\n\nasync def handler(self):\n    {body}\n"
    assert list(blocking_calls(source)) == []
