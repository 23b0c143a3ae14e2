"""The loss curve of a run: as numbers for a terminal, as SVG for the README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 28, 40
_FAINT = 'stroke="#4a7fb5" stroke-opacity=".35"'
_STRONG = 'stroke="#4a7fb5" stroke-width="2"'
_DASHED = 'stroke="#d9622b" stroke-width="1.5" stroke-dasharray="4 3"'
_SMOOTHED_OVER = 5  # steps; a step of sixteen samples says little by itself


@dataclass(frozen=True, slots=True)
class Curve:
    """Steps and losses of the training, and those of the held-out samples."""

    trained: tuple[tuple[int, float], ...]
    held_out: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, metrics: Sequence[Mapping[str, Any]]) -> Curve:
        """From the lines of a run's metrics.jsonl."""

        def points(name: str) -> tuple[tuple[int, float], ...]:
            return tuple((row["step"], float(row[name])) for row in metrics if row.get(name) is not None)

        return cls(points("loss"), points("held_out_loss"))

    @property
    def num_steps(self) -> int:
        """The last step that was logged."""
        return max((step for step, _ in self.trained), default=0)

    def numbers(self, how_many: int = 12) -> str:
        """Every so many steps the mean loss since the line before."""
        if not self.trained:
            return "no step was logged"
        size = max(1, -(-len(self.trained) // how_many))
        parts = [self.trained[start : start + size] for start in range(0, len(self.trained), size)]
        lines = [
            f"step {part[-1][0]:>4}  loss {sum(loss for _, loss in part) / len(part):.3f}" for part in parts
        ]
        lines += [f"step {step:>4}  held-out loss {loss:.3f}" for step, loss in self.held_out]
        return "\n".join(lines)

    def svg(self, title: str) -> str:
        """A drawing that reads on light and on dark paper."""
        last = max((step for step, _ in (*self.trained, *self.held_out)), default=1) or 1
        highest = max((loss for _, loss in (*self.trained, *self.held_out)), default=1.0) or 1.0
        across, down = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

        def place(step: float, loss: float) -> str:
            return f"{_LEFT + across * step / last:.1f},{_TOP + down * (1 - loss / highest):.1f}"

        def line(points: Sequence[tuple[int, float]], style: str) -> str:
            return f'<polyline fill="none" {style} points="{" ".join(place(*point) for point in points)}"/>'

        ticks = "".join(
            f'<text x="{_LEFT - 8}" y="{_TOP + down * (1 - share) + 4:.0f}" text-anchor="end">'
            f"{highest * share:.2f}</text>"
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{_TOP + down * (1 - share):.1f}" '
            f'y2="{_TOP + down * (1 - share):.1f}" stroke="#888" stroke-opacity=".25"/>'
            for share in (0, 0.25, 0.5, 0.75, 1)
        )
        dots = "".join(
            '<circle r="4" fill="#d9622b" cx="{}" cy="{}"/>'.format(*place(*point).split(","))
            for point in self.held_out
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{title}" font-family="system-ui, sans-serif" font-size="11" fill="#888">'
            f'<text x="{_LEFT}" y="16" font-size="13">{title}</text>{ticks}'
            f'<text x="{_LEFT}" y="{HEIGHT - 22}">0</text>'
            f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 22}" text-anchor="end">{last} steps</text>'
            f"{line(self.trained, _FAINT)}"
            f"{line(_smoothed(self.trained), _STRONG)}"
            f"{line(self.held_out, _DASHED)}{dots}"
            f'<text x="{_LEFT}" y="{HEIGHT - 6}"><tspan fill="#4a7fb5">trained on</tspan>: by step, and the mean of '
            f'{_SMOOTHED_OVER}; <tspan fill="#d9622b">held out</tspan></text></svg>'
            "\n"
        )


def _smoothed(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The mean of each step and those just before it."""
    smoothed = []
    for number, (step, _) in enumerate(points):
        window = [loss for _, loss in points[max(0, number + 1 - _SMOOTHED_OVER) : number + 1]]
        smoothed.append((step, sum(window) / len(window)))
    return smoothed
