"""The course of the proof, step by step: ask, correct, train, load, ask again, with the time that each step takes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from conversations.store import ConversationStore
from model.training.run_folder import RunFolder
from scripts.demo_world import data_set
from scripts.loop_proof import lesson, skill
from scripts.loop_proof.asking import PICTURE_SIZE, Answered, NotAnswered, ask
from scripts.loop_proof.curve import Curve
from scripts.loop_proof.lesson import Lesson
from scripts.loop_proof.old_world import OldWorld, examined, examined_after
from scripts.loop_proof.person import Person, person_at
from scripts.loop_proof.program import ROOT, database_url, program
from scripts.loop_proof.proof import Proof, Skill, marked

OLD_WORLD = "old-world"
ACTOR = "user:proof"  # who corrects, in the log's trail
FIELDS: Mapping[str, Mapping[str, str]] = {
    "lora": {"num_epochs": "3", "projector_learning_rate": "0.003"},
    "qlora": {"num_epochs": "3", "projector_learning_rate": "0.003"},
    "finetune": {"num_epochs": "3", "projector_learning_rate": "0.003"},
}
"""Settings that stand otherwise than the recipe has them (docs/decisions/0015)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything. `fields` stand otherwise than FIELDS and the recipe have them; `by_hand` is how many
    questions are typed, corrections clicked and answers printed; `draw` numbers sets of pictures, to learn from and to
    be asked about."""

    model: Path
    recipe: str = "lora"
    num_corrections: int = 40
    num_questions: int = 60
    num_of_old: int = 14  # questions of each kind of the old world's examination
    num_mixed: int = 1000  # conversations of the old world
    times_each: int = 12  # a correction comes in an epoch
    num_exchanges: int = 3  # of each of them, or up to three more
    by_hand: int = 4
    draw: int = 0
    fields: Mapping[str, str] = field(default_factory=dict)
    patience_seconds: float = 600.0
    keep: bool = False


@dataclass(slots=True)
class Clock:
    """How long each step takes, told while it goes."""

    steps: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        print(name, flush=True)
        began = time.monotonic()
        yield
        self.steps.append((name, time.monotonic() - began))
        print(f"    {self.steps[-1][1]:.0f} s", flush=True)


def prove(plan: Plan, folder: Path) -> Proof:
    """The whole course; the page's data lies in `folder`. Raises ProgramFailed, NoBrowser, NotAnswered, LessonFailed,
    LogError, and Playwright's Error where a control is not there."""
    clock, load = Clock(), os.getloadavg()[0]
    with clock.step("Draw conversations of the old world, to mix in"):
        samples = data_set.conversations(plan.num_mixed, fewest_exchanges=plan.num_exchanges)
        data_set.write(folder / "datasets" / OLD_WORLD, samples, PICTURE_SIZE)
    with clock.step("Examine the model on the old world"):
        old_before = examined(plan.model, None, plan.num_of_old)
    began = time.monotonic()
    print("Start the page and open it", flush=True)
    with program(folder, plan.model) as url, person_at(url) as person:
        clock.steps.append(("Start the page and open it", time.monotonic() - began))
        with closing(ConversationStore.open(database_url(folder), folder / "pictures")) as store:
            proof = _at_the_page(plan, folder, clock, person, store, old_before)
    return replace(proof, load_before=load)


def _at_the_page(
    plan: Plan, folder: Path, clock: Clock, person: Person, store: ConversationStore, old_before: OldWorld
) -> Proof:
    tests = list(skill.tasks(plan.num_questions, skill.TEST_FROM, plan.draw))
    lessons = list(skill.tasks(plan.num_corrections, skill.LESSONS_FROM, plan.draw))
    with clock.step(f"Ask {len(tests)} questions, and {len(lessons)} more to be corrected"):
        before = ask(person, store, tests, folder, plan.by_hand)
        wrong = ask(person, store, lessons, folder, plan.by_hand)
        _show(before, plan.by_hand)
    with clock.step(f"Correct {len(lessons)} answers in the library"):
        _correct(person, store, wrong, plan.by_hand)
    with clock.step("Train"):
        run = lesson.start(
            person,
            Lesson(
                "mixed-colours", plan.recipe, OLD_WORLD, "100", f"{100 * plan.times_each}",
                {**FIELDS[plan.recipe], **plan.fields},
            ),
            len(lessons),
        )  # fmt: skip
        pauses = lesson.watch(person, plan.patience_seconds)
    folder_of_run = RunFolder(ROOT / "runs" / run)
    with clock.step("Load it: Chat with it"):
        lesson.chat_with_it(person)
        person.calm()
    with clock.step(f"Ask the {len(tests)} questions again"):
        after = ask(person, store, tests, folder, plan.by_hand)
        models, base = {each.model for each in after}, {each.model for each in before}
        if len(models) > 1 or models & base:
            raise NotAnswered(f"The tuned model was asked, and {', '.join(sorted(models))} answered.")
        _show(after, plan.by_hand)
    with clock.step("Examine the tuned model on the old world"):
        old_after = examined_after(plan.model, folder_of_run, plan.num_of_old)
    curve, config = Curve.of(list(folder_of_run.metrics())), folder_of_run.config()
    if not plan.keep:
        lesson.tidy(person, run)
    return Proof(
        len(lessons),
        plan.num_mixed,
        Skill.of(before),
        Skill.of(after),
        old_before,
        old_after,
        tuple(clock.steps),
        curve,
        config,
        pauses=tuple(pauses),
    )


def _correct(person: Person, store: ConversationStore, wrong: Sequence[Answered], by_hand: int) -> None:
    """The first few by the library's own keys; the rest in the same database, by the calls behind them."""
    person.open_library("mixed")
    for each in wrong[:by_hand]:
        person.correct(each.answer_id, each.task.answer)
    for each in wrong[by_hand:]:
        store.curation.correct(ACTOR, each.answer_id, each.task.answer)
        store.curation.set_state(ACTOR, each.answer_id, "approved")


def _show(answered: Sequence[Answered], how_many: int) -> None:
    """The first few, and all that are wrong where most are right."""
    wrong = [each for each in answered if marked(each) == "wrong"]
    rest = wrong if 2 * len(wrong) < len(answered) else []
    for each in dict.fromkeys([*answered[: max(4, how_many)], *rest]):
        print(f"    {marked(each)}  {each.task.question}  {each.text}  ({each.task.answer})", flush=True)
