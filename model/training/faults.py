"""What ended a run, as a sentence for the person: ours say it themselves, foreign ones are translated here.

A full disk and full memory come in many clothes: torch, safetensors, numpy and the system each have their own.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

import torch

from conversations.errors import LogError
from model.checkpoint import CheckpointError
from model.training.config import InvalidConfig
from model.training.errors import TrainingError
from model.training.run_folder import NO_ROOM, RunFolder

_NO_ROOM = re.compile(
    r"os error (28|27|122)\b|No space left|File too large|Disk quota"
    r"|PytorchStreamWriter|inline_container|unexpected pos|iostream error"  # torch.save: its writers name no cause
)
_NO_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|Cannot allocate memory|bad_alloc|os error 12\b|Unable to allocate"
    r"|could not create a (primitive|memory)|CUDA out of memory|unable to mmap",
    re.IGNORECASE,
)


def sentence(error: BaseException, folder: RunFolder) -> str:
    """What happened and what to do, and where the run can go on."""
    if is_disk_full(error):
        return f"There is no room left on the disk of {folder.path}; make room. {_kept(folder)}"
    if isinstance(error, (TrainingError, InvalidConfig, CheckpointError, LogError)):
        return str(error)
    if is_out_of_memory(error):
        return (
            f"The memory ran out: {_first_line(error)}. Lower micro_batch_size or turn activation_checkpointing on and "
            f"resume, or start a new run with qlora. {_kept(folder)}"
        )
    return (
        f"The run ended by an error that nobody foresaw: {type(error).__name__}: {_first_line(error)}. The log tells "
        f"where. {_kept(folder)}"
    )


def is_disk_full(error: BaseException) -> bool:
    """Also where another error was made of it."""
    return any(
        (isinstance(each, OSError) and each.errno in NO_ROOM)
        or (_of_files(each) and _NO_ROOM.search(str(each)) is not None)
        for each in _causes(error)
    )


def is_out_of_memory(error: BaseException) -> bool:
    return any(
        isinstance(each, (MemoryError, torch.OutOfMemoryError))
        or (isinstance(each, OSError) and each.errno == errno.ENOMEM)
        or (_of_files(each) and _NO_MEMORY.search(str(each)) is not None)
        for each in _causes(error)
    )


def _of_files(error: BaseException) -> bool:
    """Errors of torch's and safetensors' own code, which have no kinds, only words."""
    return isinstance(error, RuntimeError) or type(error).__module__.startswith("safetensors")


def _causes(error: BaseException) -> Iterator[BaseException]:
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".")[:300] if lines else "without a word"


def _kept(folder: RunFolder) -> str:
    kept = folder.checkpoints()
    return f"{kept[-1].name} is whole, and Resume goes on there." if kept else "There was no checkpoint yet."
