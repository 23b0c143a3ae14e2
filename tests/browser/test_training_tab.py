"""The training view in the browser: a real run is ordered, watched and deleted by its controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.app.training_page import TrainingPage, corrected, serving
from tests.browser.running_page import environment
from tests.browser.test_face import PHONE
from tests.browser.visitor import SECONDS, new_context, toasted

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
        contexts.append(new_context(browser, **({"viewport": {"width": 1280, "height": 900}} | context)))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(page_served.url + address)
        page.wait_for_selector("html[data-loop=ready]")
        page.wait_for_selector('.room[data-view="training"]')
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
    """Start a run on what was corrected, which the form chooses by itself; its id."""
    page.wait_for_selector(f'#counted-data:text("{NUM_CORRECTED} answers in {NUM_CORRECTED} examples")')
    fill(page, **fields)
    page.fill('[name="run_name"]', name)
    page.wait_for_selector("#counted-data:not([data-old])")
    page.click('#training-order [type="submit"]')
    page.wait_for_selector(f'#run-name:text("{name}")')
    return page.url.partition("?training=")[2]


def ended(page: Page, phase: str) -> None:
    page.wait_for_selector(f'#run[data-phase="{phase}"]')


SMALL = {"max_steps": "3", "batch_size": "4", "micro_batch_size": "2", "num_asked": "2", "held_out_share": "0.5",
         "evaluate_every_steps": "1"}  # fmt: skip


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
    page.wait_for_selector('#run-list small:text-is("Done · lora")')
    assert (
        page.evaluate(
            "document.querySelector('#run-list li').dataset.seen + document.querySelector('#run-log').dataset.seen"
        )
        == "yesyes"
    )
    folder = page_served.jobs.get(job).folder
    assert (folder.result / "adapter_model.safetensors").is_file()
    assert folder.config().max_steps == 3 and folder.config().recipe == "lora"

    assert {"0", "3"} <= set(page.locator(".plot .axes text").all_text_contents()) >= {"1"}
    assert "-0" not in page.locator(".plot .axes text").all_text_contents()
    page.locator(".plot svg").first.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text(".plot output >> nth=0").startswith("step 2: training ")

    page.click("[data-do=training-doom]")
    page.click("#ask-run [data-do=close-card]")
    assert folder.path.is_dir()
    page.click("[data-do=training-doom]")
    page.click("#ask-run [data-do=training-delete]")
    toasted(page, "colours was deleted")
    page.wait_for_selector('#run-list li:text("No run yet")')
    assert not folder.path.exists()
    assert page.is_visible("#training-order")


def test_on_a_phone_nothing_sticks_out_and_what_is_typed_stays(open_page: Callable[..., Page]) -> None:
    page = open_page(**PHONE)
    page.wait_for_selector("#counted-data:not(:empty)")
    wide = "document.querySelector('.training-form').scrollWidth > innerWidth || document.body.scrollWidth > innerWidth"
    assert not page.evaluate(wide)
    page.fill('[name="run_name"]', "half a na")
    page.evaluate("document.querySelector('.training-form').scrollTop = 300")
    page.click('.recipes [value="align"]', force=True)
    page.wait_for_function("document.querySelector('[name=\"config.num_epochs\"]').value === '2'")
    page.wait_for_timeout(2500)  # the list is asked for meanwhile
    assert page.input_value('[name="run_name"]') == "half a na"
    # Not to the pixel: where a line above comes or goes, the browser keeps what is read in its place.
    assert 250 < page.evaluate("document.querySelector('.training-form').scrollTop") < 350
    fill(page, batch_size="many")
    page.wait_for_selector("#training-refusal:text(\"batch_size cannot be 'many'\")")
    assert page.is_disabled('#training-order [type="submit"]')


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_the_data_is_checked_with_the_real_samples_and_the_check_ends_when_left(
    open_page: Callable[..., Page], page_served: TrainingPage
) -> None:
    page = open_page()
    page.wait_for_selector(f'#counted-data:text("{NUM_CORRECTED} answers")')
    fill(page, held_out_share="0")
    page.wait_for_selector("#counted-data:not([data-old])")
    page.click("[data-do=training-check]")
    page.wait_for_selector("#training-report .found")
    assert page.locator("#training-report .sample .learnt").first.inner_text()
    assert page.locator("#training-report .sample img").first.evaluate("image => image.naturalWidth") > 10
    assert page.locator("#training-report .histogram rect").count() >= 1
    assert page.locator("#training-report .estimate").is_visible()
    page.click("[data-do=training-check]")
    page.wait_for_selector("#training-report .job")
    page.click("[data-do=show-chat]")
    checks = page_served.folder / "checks"
    for _ in range(1800):
        if not list(checks.iterdir()):
            break
        page.wait_for_timeout(100)
    assert not list(checks.iterdir())


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_a_run_is_stopped_found_again_goes_on_and_its_settings_are_copied(
    open_page: Callable[..., Page], page_served: TrainingPage
) -> None:
    page = open_page()
    job = order(
        page,
        "long one",
        **(SMALL | {"max_steps": "100000", "num_epochs": "1000", "evaluate_every_steps": "1000"}),
    )
    page.wait_for_selector('#run-badge:text("Training")')
    page.wait_for_selector(".plot:not([hidden]) .curve", state="attached", timeout=400 * SECONDS)
    page.click("[data-do=training-rename]")
    page.fill('#name-run [name="name"]', "longer one")
    page.keyboard.press("Enter")
    page.wait_for_selector('#run-list .name:text("longer one")')
    page.click("#run-stop")
    ended(page, "stopped")
    assert page_served.jobs.get(job).folder.checkpoints()
    again = open_page(f"?training={job}")
    ended(again, "stopped")
    assert again.inner_text("#run-name") == "longer one"
    again.click("#run-resume")
    again.wait_for_selector('#run-badge:text("Training")')
    again.click("#run-stop")
    ended(again, "stopped")
    again.click("[data-do=training-clone]")
    again.wait_for_function("document.querySelector('[name=\"run_name\"]').value === 'longer one again'")
    assert again.input_value('[name="config.max_steps"]') == "100000"
    assert again.input_value('[name="file"]') == str(
        page_served.jobs.get(job).folder.path / "data" / "train.json"
    )
    page_served.jobs.delete(job)
