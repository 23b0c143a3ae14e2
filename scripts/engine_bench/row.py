"""One line of the table: what was measured against what, what it must reach, and whether it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Bar:
    """What a value must reach, and what it aims at. `most` True: a value of at most `must` reaches it."""

    must: float
    aim: float
    most: bool = False

    def verdict(self, value: float) -> str:
        """ "aim", "yes" or "MISSED"."""
        for limit, word in ((self.aim, "aim"), (self.must, "yes")):
            if value <= limit if self.most else value >= limit:
                return word
        return "MISSED"

    def __str__(self) -> str:
        return f"{'≤' if self.most else '≥'} {self.must:.3g} ({self.aim:.3g})"


@dataclass(frozen=True, slots=True)
class Row:
    """`value` is what the bar is about; `spread` its range over the rounds. No bar: printed without a verdict."""

    what: str
    against: str
    ours: str
    theirs: str
    value: float | None
    spread: str = ""
    bar: Bar | None = None
    note: str = ""

    @classmethod
    def paired(
        cls,
        what: str,
        against: str,
        unit: str,
        ours: Sequence[float],
        theirs: Sequence[float],
        bar: Bar,
        note: str = "",
        *,
        upside_down: bool = False,
    ) -> Row:
        """From one number a round of each side, measured by turns: the median of the rounds' ratios ours/theirs.

        `upside_down` takes theirs/ours: times in total, of which the bar says how much shorter ours must be.
        """
        ratios = [b / a if upside_down else a / b for a, b in zip(ours, theirs, strict=True)]
        spread = f"{min(ratios):.3g}–{max(ratios):.3g}"
        return cls(
            what,
            against,
            f"{median(ours):.3g} {unit}",
            f"{median(theirs):.3g} {unit}",
            median(ratios),
            spread,
            bar,
            note,
        )

    @classmethod
    def left_out(cls, what: str, against: str, why: str) -> Row:
        """A row that could not be measured here, and the reason."""
        return cls(what, against, "–", "–", None, note=f"left out: {why}")

    def cells(self, *, with_bars: bool) -> tuple[str, ...]:
        """What stands in the table's columns (HEAD)."""
        value = "–" if self.value is None else f"{self.value:.3g}"
        if self.spread:
            value += f" ({self.spread})"
        cells: tuple[str, ...] = (self.what, self.against, self.ours, self.theirs, value)
        if with_bars:
            verdict = "–" if self.bar is None or self.value is None else self.bar.verdict(self.value)
            cells += ("–" if self.bar is None else str(self.bar), verdict)
        return (*cells, self.note)


HEAD = ("what", "against", "ours", "theirs", "value (range)", "must (aim)", "reached", "note")


def head(*, with_bars: bool) -> str:
    """The table's first two lines, in Markdown."""
    names = HEAD if with_bars else (*HEAD[:5], HEAD[7])
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def line(row: Row, *, with_bars: bool) -> str:
    """One line of the table, in Markdown."""
    return f"| {' | '.join(row.cells(with_bars=with_bars))} |"
