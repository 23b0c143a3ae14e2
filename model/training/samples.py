"""Training JSON -> what is learned: rendered samples, split by picture, with what was left out and why."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from conversations.examples import Example
from conversations.messages import ImageRef
from conversations.training_json import PictureFolder, records_of
from model.training.config import DataSource, TrainingConfig
from model.training.errors import UnusableData
from model.training.picture_check import PictureCheck
from model.training.rendering import Rendering, with_drawn_order

BROKEN = "with a missing or broken picture"

OnProgress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Sample:
    """`input_ids` int32 [T], `trained` bool [T]; `pictures` are places in `Samples.pictures`."""

    input_ids: NDArray[np.int32]
    trained: NDArray[np.bool_]
    pictures: tuple[int, ...]

    @property
    def num_trained(self) -> int:
        return int(self.trained[1:].sum())


@dataclass(frozen=True, slots=True)
class Drawn:
    """An example of a source. What chance decides about its record, and about this copy of it, goes by the keys: not by
    the folder, which may be moved."""

    example: Example
    number: int
    record_key: str
    key: str


@dataclass(slots=True)
class Samples:
    """`held_out` is never trained on; `asked` are the examples behind it. `left_out` counts by reason."""

    train: list[Sample] = field(default_factory=list)
    held_out: list[Sample] = field(default_factory=list)
    asked: list[Example] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)  # by ImageRef.sha256
    split_names: dict[str, str] = field(default_factory=dict)  # by ImageRef.sha256
    broken: dict[Path, str] = field(default_factory=dict)  # a picture's file and what is wrong with it
    left_out: Counter[str] = field(default_factory=Counter)


def read(
    config: TrainingConfig,
    rendering: Rendering,
    on_progress: OnProgress | None = None,
    *,
    broken: Mapping[str, str] | None = None,
) -> Samples:
    """All sources of the config. `broken` are the pictures that were broken when a run began that goes on now: its
    samples must stay the same. Raises InvalidImport, which names file, record and field, and UnusableData."""
    samples = Samples()
    taken = [each for source in config.data for each in drawn(source, config, samples)]
    if broken is None:
        _find_broken(samples)
    else:
        samples.broken = {Path(path): why for path, why in broken.items()}
    for done, each in enumerate(taken):
        if on_progress is not None and done % 100 == 0:
            on_progress(done / len(taken))
        add(samples, config, rendering, each)
    if not samples.train:
        why = (
            ", ".join(f"{count} {reason}" for reason, count in samples.left_out.items())
            or "the files are empty"
        )
        raise UnusableData(
            f"There is nothing to train on: {why}, {len(samples.held_out)} held out; add examples."
        )
    return samples


def drawn(source: DataSource, config: TrainingConfig, samples: Samples) -> Iterator[Drawn]:
    """The source's examples, as many as its share asks for, in the order of the file."""
    file = Path(source.file)
    folder = PictureFolder(Path(source.pictures) if source.pictures else file.parent)
    named: dict[str, str] = {}  # by ImageRef.sha256

    def picture(name: str) -> ImageRef:
        path = folder.place(name)
        ref = ImageRef(hashlib.sha256(f"{folder.folder}/{name}".encode(errors="surrogatepass")).hexdigest())
        named[ref.sha256] = name
        if ref.sha256 not in samples.places:
            samples.places[ref.sha256] = len(samples.pictures)
            samples.pictures.append(path)
        return ref

    examples = list(records_of(file, picture))
    samples.split_names |= _split_names(named)
    copies, rest = divmod(round(source.share * len(examples)), max(1, len(examples)))
    chosen = sorted(random.Random(f"{config.seed}:{file.name}").sample(range(len(examples)), rest))
    key = f"{config.seed}:{file.name}"
    for copy in range(copies):
        for number, example in examples:
            yield Drawn(example, number, f"{key}:{number}", f"{key}:{number + copy * len(examples)}")
    for number, example in (examples[index] for index in chosen):
        yield Drawn(example, number, f"{key}:{number}", f"{key}:{number + copies * len(examples)}")


def _split_names(named: Mapping[str, str]) -> dict[str, str]:
    """What the split goes by: the file's name, so that a picture that lies in two data sets is on one side; with its
    folders where several pictures of a source have one name."""
    paths = {sha256: PurePosixPath(name) for sha256, name in named.items()}
    once = Counter(path.name for path in set(paths.values()))
    return {sha256: path.name if once[path.name] == 1 else str(path) for sha256, path in paths.items()}


def _find_broken(samples: Samples) -> None:
    """Pictures that are not there or are none. Decoding them whole is left to the run, which skips what it cannot."""
    for path in samples.pictures:
        try:
            with Image.open(path) as image:
                image.verify()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            samples.broken[path] = (
                "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
            )
    if PictureCheck(faults=samples.broken).too_many(samples.pictures):
        path, why = next(iter(samples.broken.items()))
        raise UnusableData(
            f"{len(samples.broken)} of {len(set(samples.pictures))} pictures are missing or broken, more than 1 %: the "
            f"first, {path}, {why}. Name the right folder of pictures, or take their records out."
        )


def add(samples: Samples, config: TrainingConfig, rendering: Rendering, taken: Drawn) -> None:
    """Render an example and put it on its side of the split, or count why it is left out."""
    example = taken.example
    places = tuple(samples.places[sha256] for sha256 in example.pictures)
    if any(samples.pictures[place] in samples.broken for place in places):
        samples.left_out[BROKEN] += 1
        return
    if not all(message.text.strip() for message in example.messages if message.role == "assistant"):
        samples.left_out["with an empty answer"] += 1
        return
    if rendering.template.name == "plain" and not example.pictures:
        samples.left_out["without a picture, which align cannot learn from"] += 1
        return
    names = tuple(samples.split_names[sha256] for sha256 in example.pictures)
    sides = {_is_held_out(config, name) for name in names or (example.id or taken.record_key,)}
    if len(sides) == 2:
        samples.left_out["with pictures on both sides of the split"] += 1
        return
    fitted = rendering.fitting(with_drawn_order(example, taken.key))
    if fitted is None:
        samples.left_out["longer than the model's context"] += 1
        return
    shortened, prompt = fitted
    if len(shortened.messages) < len(example.messages):
        samples.left_out["(only their last exchanges, which did not fit)"] += 1
    sample = Sample(
        np.array(prompt.input_ids, dtype=np.int32),
        np.array(prompt.loss_mask, dtype=bool),
        tuple(samples.places[ref.sha256] for ref in prompt.images),
    )
    if not sample.num_trained:
        samples.left_out["with nothing to train on"] += 1
    elif sides.pop():
        samples.held_out.append(sample)
        samples.asked.append(shortened)
    else:
        samples.train.append(sample)


def _is_held_out(config: TrainingConfig, key: str) -> bool:
    """By the picture's name alone, so that no picture is on both sides, and neither data added later nor another folder
    moves anything."""
    digest = hashlib.sha256(f"{config.seed}:{key}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64 < config.held_out_share
