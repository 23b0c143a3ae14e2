"""What was measured, against what was aimed at: as a table, and as sentences about what was missed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from model.training.config import TrainingConfig
from scripts.loop_proof.asking import Answered
from scripts.loop_proof.curve import Curve
from scripts.loop_proof.old_world import OldWorld
from scripts.loop_proof.skill import is_right

BEFORE_AT_MOST = 0.10
AFTER_AT_LEAST = 0.80
LOST_AT_MOST = 0.03
SECONDS_AT_MOST = 600.0


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many were right."""

    right: int
    asked: int

    @property
    def value(self) -> float:
        return self.right / self.asked if self.asked else 0.0

    def __str__(self) -> str:
        return f"{self.right} of {self.asked} ({self.value:.0%})"


@dataclass(frozen=True, slots=True)
class Skill:
    """The new skill's questions: of mixed colours, of plain ones, and all."""

    mixed: Share
    plain: Share

    @classmethod
    def of(cls, answered: Sequence[Answered]) -> Skill:
        def share(is_mixed: bool) -> Share:
            marks = [is_right(each.task, each.text) for each in answered if each.task.is_mixed is is_mixed]
            return Share(sum(marks), len(marks))

        return cls(share(True), share(False))

    @property
    def all(self) -> Share:
        return Share(self.mixed.right + self.plain.right, self.mixed.asked + self.plain.asked)


def marked(answered: Answered) -> str:
    """ "right" or "wrong"."""
    return "right" if is_right(answered.task, answered.text) else "wrong"


@dataclass(frozen=True, slots=True)
class Proof:
    """`steps` are names and seconds, in order; they make up the whole run. `load_before` is the machine's, over the
    minute before it began: on a busy machine, seconds say little. `pauses` are the seconds from each news of the run to
    the next, in the training view."""

    num_corrections: int
    num_mixed: int
    before: Skill
    after: Skill
    old_before: OldWorld
    old_after: OldWorld
    steps: tuple[tuple[str, float], ...]
    curve: Curve
    config: TrainingConfig
    load_before: float = 0.0
    pauses: tuple[float, ...] = ()

    @property
    def seconds(self) -> float:
        return sum(seconds for _, seconds in self.steps)

    def missed(self) -> Iterator[str]:
        """Each aim that was not met, with the number."""
        before, after = self.before.all.value, self.after.all.value
        if before >= BEFORE_AT_MOST:
            yield f"Before, {before:.1%} of the new questions were right; aimed at under {BEFORE_AT_MOST:.0%}."
        if after < AFTER_AT_LEAST:
            yield f"After, {after:.1%} of the new questions are right; aimed at {AFTER_AT_LEAST:.0%} or more."
        lost = self.old_before.score - self.old_after.score
        if lost > LOST_AT_MOST + 1e-9:
            yield f"{100 * lost:.1f} points were lost on the old world; aimed at {100 * LOST_AT_MOST:.0f} at most."
        if self.seconds > SECONDS_AT_MOST:
            busy = (
                f" (the machine had other work: load {self.load_before:.1f})" if self.load_before > 1 else ""
            )
            yield f"It took {self.seconds:.0f} seconds{busy}; aimed at {SECONDS_AT_MOST:.0f} at most."

    def settings(self) -> str:
        """How it was trained, in a sentence."""
        config, times = self.config, max(source.share for source in self.config.data)
        adapters = f"rank {config.lora_rank}, alpha {config.lora_alpha}, " if config.keeps_adapter else ""
        projector = config.projector_learning_rate or config.learning_rate
        return (
            f"Trained by the recipe `{config.recipe}` on {self.num_corrections} corrections and {self.num_mixed} "
            f"conversations of the old world, {config.num_epochs:g} epochs in which each correction comes "
            f"{times:g} times: {self.curve.num_steps} steps of {config.batch_size}, {adapters}rate "
            f"{config.learning_rate:g}, the projector's {projector:g}."
        )

    def table(self) -> str:
        """Markdown: before and after, then the seconds of each step."""
        gained = 100 * (self.old_after.score - self.old_before.score)
        lines = [
            "| asked | before | after | aimed at |",
            "|---|--:|--:|---|",
            f"| **the new skill, all** | **{self.before.all}** | **{self.after.all}** "
            f"| under {BEFORE_AT_MOST:.0%}, then {AFTER_AT_LEAST:.0%} or more |",
            f"| things of a mixed colour | {self.before.mixed} | {self.after.mixed} | |",
            f"| things of a plain colour | {self.before.plain} | {self.after.plain} | |",
            f"| the old world, {self.old_before.num_questions} questions of all kinds | {self.old_before.score:.1%} "
            f"| {self.old_after.score:.1%} ({gained:+.1f} points) | {100 * LOST_AT_MOST:.0f} points lost at most |",
            "",
            "| step | seconds |",
            "|---|--:|",
            *(f"| {name} | {seconds:.0f} |" for name, seconds in self.steps),
            f"| **all** | **{self.seconds:.0f}** |",
            "",
            f"Load of the machine over the minute before: {self.load_before:.1f}.",
            *self._news(),
        ]
        return "\n".join(lines)

    def _news(self) -> Iterator[str]:
        if len(self.pauses) < 2:
            return
        late = quantiles(self.pauses, n=20, method="inclusive")[-1]
        yield ""
        yield (
            f"While it trained, the training view got news {len(self.pauses) + 1} times, {median(self.pauses):.1f} s "
            f"apart (95 % of the times at most {late:.1f} s, the longest {max(self.pauses):.1f} s; aimed at 2)."
        )
