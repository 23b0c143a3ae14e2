"""What a training run is: one frozen description for the form, the command line and the job's file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args, get_type_hints

from conversations.template import TEMPLATES

RecipeName = Literal["align", "finetune", "lora", "qlora"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Optimizer = Literal["adamw", "adamw_8bit"]
FeatureCache = Literal["auto", "on", "off"]


class InvalidConfig(ValueError):
    """A config that cannot be meant; the sentence names the field, its value and what is allowed."""


@dataclass(frozen=True, slots=True)
class DataSource:
    """A file of LLaVA's training JSON (docs/training_json.md) and the folder of the pictures that it names."""

    file: str
    pictures: str = ""  # "": the folder in which the file lies
    share: float = (
        1.0  # of its records; below 1 a draw by the run's seed, above 1 some or all come more than once
    )

    def __post_init__(self) -> None:
        if not isinstance(self.file, str) or not self.file:
            raise InvalidConfig(f"data.file cannot be {self.file!r:.60}; name a file of training JSON.")
        if not isinstance(self.pictures, str):
            raise InvalidConfig(f"data.pictures cannot be {self.pictures!r:.60}; name a folder.")
        for name, path in (("file", self.file), ("pictures", self.pictures)):
            if "\0" in path:
                raise InvalidConfig(f"data.{name} cannot be {path!r:.60}; no path holds a NUL character.")
        _check_number("data.share", self.share, above=0, at_most=100)


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Raises InvalidConfig for values that cannot be meant. `recipes.config_for` fills in a recipe's own values."""

    recipe: RecipeName
    model: str = field(metadata={"about": "the base: a checkpoint's folder, or a name on the Hub"})
    data: tuple[DataSource, ...] = field(metadata={"about": "what is learned"})
    template: str | None = field(
        default=None, metadata={"about": "instead of the checkpoint's own; align uses plain"}
    )
    device: str = field(default="auto", metadata={"about": "cpu, cuda, cuda:1, mps"})
    precision: Precision = field(
        default="auto", metadata={"about": "of the computation; auto: bfloat16 on a GPU"}
    )
    num_epochs: float = field(default=1.0, metadata={"about": "times through the data"})
    max_steps: int = field(default=0, metadata={"about": "instead of epochs; 0: as many as the epochs take"})
    batch_size: int = field(default=128, metadata={"about": "samples a step, over all processes"})
    micro_batch_size: int = field(default=4, metadata={"about": "samples that a process computes at once"})
    learning_rate: float = field(default=2e-5, metadata={"about": "its peak"})
    projector_learning_rate: float | None = field(
        default=None, metadata={"about": "where the projector has its own"}
    )
    warmup_share: float = field(default=0.03, metadata={"about": "of the steps, in which the rate rises"})
    last_rate_share: float = field(
        default=0.0, metadata={"about": "of the peak, down to which the cosine falls"}
    )
    weight_decay: float = field(default=0.0, metadata={"about": "on matrices only"})
    max_grad_norm: float = field(default=1.0, metadata={"about": "longer gradients are shortened to it"})
    max_tokens: int = field(
        default=2048, metadata={"about": "a longer sample is cut after its last whole answer"}
    )
    lora_rank: int = field(default=128, metadata={"about": "of the adapters' updates"})
    lora_alpha: int = field(default=256, metadata={"about": "the updates are scaled by alpha / rank"})
    lora_dropout: float = field(default=0.05, metadata={"about": "on the adapters' inputs"})
    optimizer: Optimizer = field(default="adamw", metadata={"about": "8 bits need a quarter of the memory"})
    activation_checkpointing: bool = field(default=False, metadata={"about": "less memory, a third slower"})
    feature_cache: FeatureCache = field(
        default="auto", metadata={"about": "the frozen tower's features kept on disk while the run lasts"}
    )
    held_out_share: float = field(default=0.05, metadata={"about": "of the pictures, never trained on"})
    num_asked: int = field(default=60, metadata={"about": "held-out answers compared before and after"})
    log_every_steps: int = field(default=1)
    save_every_steps: int = field(default=100)
    evaluate_every_steps: int = field(default=100)
    num_checkpoints_kept: int = field(default=2)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InvalidConfig(
                    f"{name} cannot be {getattr(self, name)!r:.60}; it is one of {', '.join(choices)}."
                )
        if not isinstance(self.model, str) or not self.model or "\0" in self.model:
            raise InvalidConfig(f"model cannot be {self.model!r:.60}; name a checkpoint's folder.")
        if self.template is not None and self.template not in tuple(TEMPLATES):
            raise InvalidConfig(
                f"template cannot be {self.template!r:.60}; it is null or one of {', '.join(TEMPLATES)}."
            )
        if not isinstance(self.device, str) or not self.device:
            raise InvalidConfig(
                f"device cannot be {self.device!r:.60}; it is auto, cpu, cuda, cuda:1 or mps."
            )
        if not isinstance(self.data, tuple) or not self.data:
            raise InvalidConfig("data is empty; name at least one file of training JSON.")
        if not isinstance(self.activation_checkpointing, bool):
            raise InvalidConfig(
                f"activation_checkpointing is true or false, not {self.activation_checkpointing!r:.60}."
            )
        for name, limits in _LIMITS.items():
            value = getattr(self, name)
            if value is not None or name != "projector_learning_rate":
                _check_number(name, value, whole=_HINTS[name] is int, **limits)

    def changed(self, **changes: Any) -> TrainingConfig:
        """The same with some fields different. Raises InvalidConfig."""
        _refuse_unknown(changes)
        return replace(self, **changes)

    @property
    def keeps_adapter(self) -> bool:
        """Whether the result is an adapter, and not a whole checkpoint."""
        return self.recipe in ("lora", "qlora")

    def to_json(self) -> str:
        """For people to read, and to change by hand."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> TrainingConfig:
        """Raises InvalidConfig. Fields that are left out have their default."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidConfig(f"The config is no JSON: {error}.") from error
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: object) -> TrainingConfig:
        """Raises InvalidConfig."""
        if not isinstance(values, Mapping):
            raise InvalidConfig(f"A config is a JSON object, not {values!r:.60}.")
        given = dict(values)
        _refuse_unknown(given)
        for name in ("recipe", "model", "data"):
            if name not in given:
                raise InvalidConfig(f"The config has no {name}; add it.")
        if not isinstance(given["data"], list):
            raise InvalidConfig(
                f"data cannot be {given['data']!r:.60}; give a list of objects with a file each."
            )
        sources = []
        for source in given["data"]:
            if not isinstance(source, Mapping) or set(source) - {each.name for each in fields(DataSource)}:
                raise InvalidConfig(
                    f"data cannot hold {source!r:.60}; give objects with file, pictures and share."
                )
            if "file" not in source:
                raise InvalidConfig(f"data holds {source!r:.60}, which has no file; add it.")
            sources.append(DataSource(**source))
        return cls(**given | {"data": tuple(sources)})


_LARGEST = 1e18
_HINTS = get_type_hints(TrainingConfig)
_CHOICES = {name: get_args(_HINTS[name]) for name in ("recipe", "precision", "optimizer", "feature_cache")}
_LIMITS: dict[str, dict[str, float]] = {
    "num_epochs": {"above": 0, "at_most": 1000}, "max_steps": {"at_least": 0}, "batch_size": {"at_least": 1},
    "micro_batch_size": {"at_least": 1}, "learning_rate": {"above": 0, "at_most": 1},
    "projector_learning_rate": {"above": 0, "at_most": 1}, "warmup_share": {"at_least": 0, "at_most": 1},
    "last_rate_share": {"at_least": 0, "at_most": 1}, "weight_decay": {"at_least": 0, "at_most": 1},
    "max_grad_norm": {"above": 0}, "max_tokens": {"at_least": 16}, "lora_rank": {"at_least": 1, "at_most": 4096},
    "lora_alpha": {"at_least": 1}, "lora_dropout": {"at_least": 0, "at_most": 0.9},
    "held_out_share": {"at_least": 0, "at_most": 0.9}, "num_asked": {"at_least": 0}, "log_every_steps": {"at_least": 1},
    "save_every_steps": {"at_least": 1}, "evaluate_every_steps": {"at_least": 1},
    "num_checkpoints_kept": {"at_least": 1}, "seed": {"at_least": 0, "at_most": 2**32 - 1},
}  # fmt: skip


def _refuse_unknown(values: Mapping[str, Any]) -> None:
    known = [each.name for each in fields(TrainingConfig)]
    for name in values:
        if name not in known:
            raise InvalidConfig(f"A config has no field {name!r:.60}; the fields are {', '.join(known)}.")


def _check_number(
    name: str,
    value: object,
    *,
    whole: bool = False,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> None:
    allowed = [f"above {above:g}" if above is not None else f"at least {at_least:g}"]
    allowed += [f"at most {at_most:g}"] if at_most is not None else []
    words = (
        f"{name} cannot be {value!r:.60}; give a {'whole ' if whole else ''}number {' and '.join(allowed)}."
    )
    if (
        isinstance(value, bool)
        or not isinstance(value, int if whole else (int, float))
        or not -_LARGEST < value < _LARGEST  # so that it is no NaN, nor too large for arithmetic
    ):
        raise InvalidConfig(words)
    too_small = value <= above if above is not None else value < (at_least or 0)
    if too_small or (at_most is not None and value > at_most):
        raise InvalidConfig(words)
