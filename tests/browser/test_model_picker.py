"""Another model on the running page: the conversation stays, and a model that cannot be loaded costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.running_page import DEMO, ENDLESS_TOKENS, RunningPage
from tests.browser.visitor import Visitor

needs_the_shipped_model = pytest.mark.skipif(
    not (DEMO / "model.safetensors").is_file(),
    reason="model/demo has no weights yet; make demo-model trains such a model",
)


@pytest.fixture
def own_page(tmp_path: Path, endless_checkpoint: Path) -> Iterator[RunningPage]:
    page = RunningPage(tmp_path / "page", ("--model", str(endless_checkpoint))).start()
    yield page
    page.stop()


@pytest.fixture
def person(visit: Callable[..., Visitor], own_page: RunningPage) -> Visitor:
    """At a page whose first model is ready, with the settings open."""
    person = visit(own_page).wait_until_ready()
    person.longest(8)
    person.page.click('.top [data-do="drawer"]')
    runs(person, "endless-random")
    return person


def runs(person: Visitor, name: str) -> None:
    """Until this model is the running one, and ready."""
    person.page.wait_for_function(
        "name => document.querySelector('#picker .name').textContent.endsWith(name)"
        " && document.querySelector('#picker .job').hidden"
        " && document.querySelector('#state').dataset.tone === 'ready'",
        arg=name,
    )


def switch(person: Visitor, model: str) -> None:
    person.page.fill('#switch [name="model"]', model)
    person.page.click("#switch button")


def refusal(person: Visitor) -> str:
    person.page.wait_for_selector("#picker .refusal:not([hidden])")
    return person.page.locator("#picker .refusal").inner_text()


def ask(person: Visitor, own_page: RunningPage) -> list[tuple[str, str]]:
    """One more question; the models and templates of all answers."""
    person.ask("What is it?")
    assert person.wait_for_end() in ("stop", "length")
    return [(each["model"], each["template"]) for each in own_page.answers(person.conversation)]


_WATCH = """
() => {
  const job = document.querySelector("#picker .job"), seen = (window.seen = []);
  const look = () => {
    const words = job.hidden ? "" : job.querySelector(".words").textContent;
    if (words && seen.at(-1) !== words) seen.push(words);
  };
  new MutationObserver(look).observe(job, { subtree: true, childList: true, attributes: true, characterData: true });
}
"""


def test_another_model_takes_over_in_sight_and_the_conversation_stays(
    person: Visitor, own_page: RunningPage, tiny_checkpoint: Path
) -> None:
    page = person.page
    assert [model for model, _ in ask(person, own_page)] == ["endless-random"]
    conversation, address = person.conversation, page.url
    page.evaluate(_WATCH)
    page.click("#picker summary")
    switch(person, str(tiny_checkpoint))
    runs(person, "tiny-random")
    seen = page.evaluate("window.seen")
    steps = (f"Looking at {tiny_checkpoint}", "The model is starting", "The model is loading")
    assert seen and all(words.startswith(steps) for words in seen), seen
    assert [model for model, _ in ask(person, own_page)] == ["endless-random", "tiny-random"]
    assert (person.conversation, page.url) == (conversation, address)
    assert page.locator("#thread .question").count() == 2
    assert not person.faults and not person.external


@pytest.mark.nightly
@needs_the_shipped_model
def test_a_switch_ends_the_running_answer_with_a_reason_and_retry_asks_the_other_model(
    person: Visitor, own_page: RunningPage
) -> None:
    page = person.page
    first = ask(person, own_page)
    conversation = person.conversation
    assert [model for model, _ in first] == ["endless-random"]

    page.click("#picker summary")
    switch(person, "no such folder")
    assert "no such folder" in refusal(person)
    assert ask(person, own_page) == first * 2  # nothing was ended for it

    person.longest(ENDLESS_TOKENS)
    person.ask("Tell me all.")
    person.wait_for_text()
    switch(person, "model/demo")
    page.wait_for_selector("#picker .job:not([hidden])")
    assert person.wait_for_end() == "failed" and "press Retry once it is back" in person.reply.inner_text()
    assert person.raw().strip()  # what had come
    person.longest(8)
    page.click('#drawer [data-do="drawer"]')
    page.click("#thread .reply:last-child .choices button")  # while the other is being loaded
    runs(person, "model/demo")
    assert person.wait_for_end() in ("stop", "length")
    *_, ended, again = own_page.answers(person.conversation)
    models = (ended["model"], again["model"])
    assert models == ("endless-random", "demo") and ended["parent_id"] == again["parent_id"]
    *_, (model, template) = ask(person, own_page)
    assert model == "demo" and template and person.conversation == conversation
    assert page.locator("#thread .question").count() == 4
    assert not person.faults and not person.external


@pytest.mark.nightly
@needs_the_shipped_model
def test_a_recent_model_comes_back_and_a_broken_one_leaves_the_old(
    person: Visitor, own_page: RunningPage, tmp_path: Path
) -> None:
    """Nightly, since it loads a model four times; the worker's side of it is in tests/app/test_model_picker.py."""
    ask(person, own_page)
    conversation = person.conversation
    person.page.click("#picker summary")
    switch(person, "model/demo")
    runs(person, "model/demo")
    ask(person, own_page)
    person.page.click("#picker .recent button")
    runs(person, "endless-random")
    ask(person, own_page)

    broken = tmp_path / "broken"
    broken.mkdir()
    switch(person, str(broken))
    words = refusal(person)
    assert words.startswith(f"{broken} could not be loaded: ") and words.endswith("endless-random is kept.")
    runs(person, "endless-random")
    models = [name for name, _ in ask(person, own_page)]
    assert models == ["endless-random", "demo", "endless-random", "endless-random"]
    assert person.conversation == conversation
    assert not person.faults and not person.external
