"""The lesson: a run that the person orders in the training view, watches to its end, and then chats with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from scripts.loop_proof.person import PATIENCE, Person


class LessonFailed(Exception):
    """The run was refused, or did not come to its end; the page's own sentence says why."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the form is filled in with. `mixed_set` is a data set's name in the page's list; `fields` are those of the
    recipe's settings that stand otherwise than the recipe has them."""

    name: str
    recipe: str
    mixed_set: str
    mixed_percent: str
    percent: str = "100"  # of what was corrected; above 100 each comes more than once in an epoch
    fields: Mapping[str, str] = field(default_factory=dict)


_CHAT = '[data-do="result-chat"]:not([disabled])'
_NOTE_NEWS = """() => {
  window.newsOfTheRun = [];
  loop.on("training_look", () => newsOfTheRun.push(performance.now() / 1000));
}"""
_SWITCH = '[data-do="result-switch"][data-value="result"]'


def start(person: Person, lesson: Lesson, num_answers: int) -> str:
    """Fill in the form for the approved answers of the library and press Start. The run's id. Raises LessonFailed."""
    page = person.page
    page.click('[data-do="show-training"]')
    page.wait_for_selector('.room[data-view="training"]', timeout=PATIENCE)
    page.select_option('.picks [name="state"]', "approved")
    page.wait_for_selector(f'#counted-data:text("{num_answers} answers in ")', timeout=PATIENCE)
    page.fill('#training-order [name="share"]', lesson.percent)
    page.check('#training-order [name="mixed"]')
    page.select_option('[name="mixed_set"]', f"set:{lesson.mixed_set}")
    page.fill('[name="mixed_share"]', lesson.mixed_percent)
    page.check(f'#training-order [name="recipe"][value="{lesson.recipe}"]')
    page.wait_for_function(
        "document.querySelector('[name=\"config.learning_rate\"]').value !== ''", timeout=PATIENCE
    )
    page.locator(".advanced").evaluate("details => { details.open = true; }")
    for name, value in lesson.fields.items():
        page.fill(f'[name="config.{name}"]', value)
    page.fill('[name="run_name"]', lesson.name)
    page.wait_for_selector("#counted-mixed:not([data-old])", timeout=PATIENCE)
    page.wait_for_function(
        "() => !document.querySelector('#training-order [type=\"submit\"]').disabled"
        " || document.querySelector('#training-refusal').textContent",
        timeout=PATIENCE,
    )
    if refusal := page.inner_text("#training-refusal"):
        raise LessonFailed(refusal)
    page.click('#training-order [type="submit"]')
    page.wait_for_selector(f'#run-name:text("{lesson.name}")', timeout=PATIENCE)
    return page.url.partition("?training=")[2]


def watch(person: Person, seconds: float) -> list[float]:
    """Until it has ended; the page follows it meanwhile. The seconds from each news of the run to the next, as the page
    got them. Raises LessonFailed."""
    page, until = person.page, time.monotonic() + seconds
    page.evaluate(_NOTE_NEWS)
    shown = ""
    while (phase := page.get_attribute("#run", "data-phase")) not in ("done", "failed", "stopped"):
        words = page.inner_text("#run-progress .words")
        if words != shown:
            shown = words
            print(f"    {words}", flush=True)
        if time.monotonic() > until:
            raise LessonFailed(f"The run did not end within {seconds:.0f} seconds; it is {phase}: {words}")
        page.wait_for_timeout(2000)
    if phase != "done":
        words, log = page.inner_text("#run-progress .words"), page.inner_text("#run-log")
        raise LessonFailed(f"The run ended as {phase}: {words}\n{log[-2000:]}")
    news = page.evaluate("newsOfTheRun")
    return [late - early for early, late in pairwise(news)]


def chat_with_it(person: Person) -> None:
    """Load what came out beside the running model, or make it the running model; lead over to the chat with it."""
    page = person.page
    page.wait_for_selector(f"#results {_CHAT}, #results {_SWITCH}", timeout=PATIENCE)
    is_adapter = page.locator(f"#results {_CHAT}").count() > 0
    if not is_adapter:
        page.click(f"#results {_SWITCH}")
    page.wait_for_selector(f"#results {_CHAT}", timeout=PATIENCE)
    page.click(f"#results {_CHAT}")
    page.wait_for_selector('.room[data-view="chat"]', timeout=PATIENCE)
    if is_adapter:
        page.wait_for_function(
            "document.querySelector('#choices [name=\"model\"]').value !== ''", timeout=PATIENCE
        )
    person.wait_for_model()


def tidy(person: Person, run: str) -> None:
    """Leave the worker as it was found, and delete the run with its folder."""
    page = person.page
    person.go(f"?training={run}")
    back = '#results [data-do="result-unload"], #results [data-do="result-switch"][data-value="base"]'
    page.wait_for_selector(back, timeout=PATIENCE)
    page.click(back)
    page.wait_for_selector(back, state="detached", timeout=PATIENCE)
    page.click("[data-do=training-doom]")
    page.click("#ask-run [data-do=training-delete]")
    page.wait_for_selector("#training-order", state="visible", timeout=PATIENCE)
