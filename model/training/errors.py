"""What ends a run; each says in a sentence what happened and what to do."""

from __future__ import annotations


class TrainingError(Exception):
    """The tree's root; its text is for the person."""


class UnusableData(TrainingError):
    """Nothing, or too little that is whole, to learn from."""


class LossNotFinite(TrainingError):
    """The loss became NaN or infinite: what came after the last checkpoint is lost, what was before is not."""


class CannotResume(TrainingError):
    """A checkpoint that does not belong to this run's config, or is not whole."""


class Interrupted(TrainingError):
    """A person or the machine asked the run to end before its first checkpoint."""
