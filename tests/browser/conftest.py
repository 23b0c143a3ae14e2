"""One running program for all browser tests of a session, and a fresh browser profile, so a fresh visitor, for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from scripts.install_chromium import find_chromium
from tests.browser.running_page import RunningPage, write_checkpoints
from tests.browser.visitor import PATIENCE, Visitor, new_context

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@pytest.fixture(scope="package")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    write_checkpoints(folder / "tiny-random", folder / "endless-random")
    return folder


@pytest.fixture(scope="package")
def tiny_checkpoint(checkpoints: Path) -> Path:
    """Untrained weights: they answer gibberish, as long as they are let, up to 2,048 tokens with the question."""
    return checkpoints / "tiny-random"


@pytest.fixture(scope="package")
def endless_checkpoint(checkpoints: Path) -> Path:
    """The same, and up to 32,768: for answers that must outlast whatever else happens, on any machine."""
    return checkpoints / "endless-random"


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Iterator[RunningPage]:
    """The page on the tiny checkpoint."""
    page = RunningPage(tmp_path_factory.mktemp("page"), ("--model", str(tiny_checkpoint))).start()
    yield page
    page.stop()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(CHROMIUM_FLAGS), timeout=PATIENCE
        )
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """`visit(running)` opens the page as a new visitor; `visit(running, beside=other)` opens a second tab of theirs."""
    contexts = []

    def open_page(running: RunningPage, *, beside: Visitor | None = None, **context: Any) -> Visitor:
        if beside is None:
            made = new_context(browser, **({"viewport": {"width": 1200, "height": 800}} | context))
            contexts.append(made)
        else:
            made = beside.page.context
        return Visitor(made.new_page(), running.url).go()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def visitor(visit: Callable[..., Visitor], running: RunningPage) -> Visitor:
    """A new visitor at the running page, with the model ready."""
    return visit(running).wait_until_ready()
