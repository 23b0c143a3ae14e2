"""Another model on the running page: the conversation stays, and a model that cannot be loaded costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.running_page import DEMO, RunningPage
from tests.browser.visitor import SECONDS, Visitor

pytestmark = pytest.mark.skipif(
    not (DEMO / "model.safetensors").is_file(),
    reason="model/demo has no weights yet; make demo-model trains them",
)
A_LOAD = 120 * SECONDS


@pytest.fixture
def own_page(tmp_path: Path, tiny_checkpoint: Path) -> Iterator[RunningPage]:
    page = RunningPage(tmp_path / "page", ("--model", str(tiny_checkpoint))).start()
    yield page
    page.stop()


def runs(person: Visitor, name: str) -> None:
    """Until this model is the running one, and ready."""
    person.page.wait_for_function(
        "name => document.querySelector('#picker .name').textContent.endsWith(name)"
        " && document.querySelector('#picker .job').hidden"
        " && document.querySelector('#state').dataset.tone === 'ready'",
        arg=name,
        timeout=A_LOAD,
    )


def ask(person: Visitor, own_page: RunningPage) -> list[tuple[str, str]]:
    """One more question; the models and templates of all answers."""
    person.ask("What is it?")
    assert person.wait_for_end() in ("stop", "length")
    return [(each["model"], each["template"]) for each in own_page.answers(person.conversation)]


def test_the_model_is_switched_and_back_and_a_broken_one_leaves_the_old(
    visit: Callable[..., Visitor], own_page: RunningPage, tmp_path: Path
) -> None:
    person = visit(own_page).wait_until_ready()
    page = person.page
    person.longest(8)
    page.click('.top [data-do="drawer"]')
    runs(person, "tiny-random")
    first = ask(person, own_page)
    conversation = person.conversation
    assert [model for model, _ in first] == ["tiny-random"]

    page.click("#picker summary")
    page.fill('#switch [name="model"]', "no such folder")
    page.click("#switch button")
    page.wait_for_selector("#picker .refusal:not([hidden])")
    assert "no such folder" in page.locator("#picker .refusal").inner_text()
    assert ask(person, own_page) == first * 2  # nothing was ended for it

    person.longest(1700)
    person.ask("Tell me all.")
    person.wait_for_text()
    page.fill('#switch [name="model"]', "model/demo")
    page.click("#switch button")
    page.wait_for_selector("#picker .job:not([hidden])")
    assert person.wait_for_end() == "failed" and "press Retry once it is back" in person.reply.inner_text()
    assert person.raw().strip()  # what had come
    person.longest(8)
    page.click('#drawer [data-do="drawer"]')
    page.click("#thread .reply:last-child .choices button")  # while the other is being loaded
    runs(person, "model/demo")
    assert person.wait_for_end() in ("stop", "length")
    *_, ended, again = own_page.answers(person.conversation)
    assert (ended["model"], again["model"], ended["parent_id"]) == ("tiny-random", "demo", again["parent_id"])
    *_, (model, template) = ask(person, own_page)
    assert model == "demo" and template and person.conversation == conversation

    page.click('.top [data-do="drawer"]')
    page.click("#picker .recent button")
    runs(person, "tiny-random")
    assert [name for name, _ in ask(person, own_page)][-1] == "tiny-random"

    broken = tmp_path / "broken"
    broken.mkdir()
    page.fill('#switch [name="model"]', str(broken))
    page.click("#switch button")
    page.wait_for_selector("#picker .refusal:not([hidden])", timeout=A_LOAD)
    words = page.locator("#picker .refusal").inner_text()
    assert words.startswith(f"{broken} could not be loaded: ") and words.endswith("tiny-random is kept.")
    runs(person, "tiny-random")
    models = [name for name, _ in ask(person, own_page)]
    assert models == ["tiny-random"] * 3 + ["demo"] * 2 + ["tiny-random"] * 2
    assert person.conversation == conversation
    assert page.locator("#thread .question").count() == 6
    assert not person.faults and not person.external
