"""The training view in the browser: a real run is ordered, watched and deleted by its controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.app.training_page import TrainingPage, corrected, serving
from tests.browser.running_page import environment
from tests.browser.visitor import SECONDS

NUM_CORRECTED = 8


@pytest.fixture(scope="module")
def page_served(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Iterator[TrainingPage]:
    with serving(tmp_path_factory.mktemp("training"), environment(), tiny_checkpoint) as served:
        corrected(served.store, NUM_CORRECTED)
        yield served


@pytest.fixture
def open_page(browser: Browser, page_served: TrainingPage) -> Iterator[Callable[..., Page]]:
    contexts = []
    faults: list[str] = []

    def opened(address: str = "?training", **context) -> Page:
        contexts.append(browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | context)))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(page_served.url + address)
        page.wait_for_selector("html[data-loop=ready]", timeout=60 * SECONDS)
        page.wait_for_selector('.room[data-view="training"]', timeout=60 * SECONDS)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def fill(page: Page, **fields: str) -> None:
    """The settings of the recipe, once its values have come."""
    page.wait_for_function("document.querySelector('[name=\"config.lora_rank\"]').value !== ''")
    page.locator(".advanced").evaluate("details => (details.open = true)")
    for name, value in fields.items():
        page.fill(f'[name="config.{name}"]', value)


def order(page: Page, name: str, **fields: str) -> str:
    """Start a run on what was corrected; its id."""
    page.select_option('.picks [name="corrected"]', "yes")
    page.wait_for_selector(f'#counted-data:text("{NUM_CORRECTED} answers in {NUM_CORRECTED} examples")')
    fill(page, **fields)
    page.fill('[name="run_name"]', name)
    page.wait_for_selector("#counted-data:not([data-old])")
    page.click('#training-order [type="submit"]')
    page.wait_for_selector(f'#run-name:text("{name}")', timeout=30 * SECONDS)
    return page.url.partition("?training=")[2]


def ended(page: Page, phase: str) -> None:
    page.wait_for_selector(f'#run[data-phase="{phase}"]', timeout=300 * SECONDS)


SMALL = {"max_steps": "3", "batch_size": "4", "micro_batch_size": "2", "num_asked": "2", "held_out_share": "0.5",
         "evaluate_every_steps": "1"}  # fmt: skip


@pytest.mark.timeout(600)
def test_a_run_is_ordered_watched_to_its_end_and_deleted(
    open_page: Callable[..., Page], page_served: TrainingPage
) -> None:
    page = open_page()
    job = order(page, "colours", **SMALL)
    page.wait_for_selector(f'#run-list [data-job="{job}"] [aria-current]')
    page.evaluate(
        "document.querySelector('#run-list li').dataset.seen = document.querySelector('#run-log').dataset.seen = 'yes'"
    )
    ended(page, "done")
    assert page.inner_text('[data-fact="step"]') == "3 of 3"
    kinds = page.eval_on_selector_all(
        ".plot:not([hidden]) .curve", "all => all.map(each => each.dataset.kind)"
    )
    assert kinds == ["first", "second", "first", "first"], (
        "loss, held-out loss, learning rate, tokens per second"
    )
    page.wait_for_selector('#run-log:text("step 3")')
    assert page.inner_text("#run-list small") == "Done · lora"
    assert (
        page.evaluate(
            "document.querySelector('#run-list li').dataset.seen + document.querySelector('#run-log').dataset.seen"
        )
        == "yesyes"
    )
    folder = page_served.jobs.get(job).folder
    assert (folder.result / "adapter_model.safetensors").is_file()
    assert folder.config().max_steps == 3 and folder.config().recipe == "lora"

    page.locator(".plot svg").first.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text(".plot output >> nth=0").startswith("step 2: training ")

    page.click("[data-do=training-doom]")
    page.click("#ask-run [data-do=close-card]")
    assert folder.path.is_dir()
    page.click("[data-do=training-doom]")
    page.click("#ask-run [data-do=training-delete]")
    page.wait_for_selector('#toast .words:text("colours was deleted")')
    page.wait_for_selector('#run-list:text("No run yet")')
    assert not folder.path.exists()
    assert page.is_visible("#training-order")
