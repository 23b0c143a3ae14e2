"""What the network raised, as an error of the engine: foreign exceptions are translated here and nowhere else."""

from __future__ import annotations

import gc
import logging

import torch

from model.engine.errors import EngineError, GenerationFailed, OutOfMemory

_log = logging.getLogger(__name__)
# What PyTorch's allocators say in a plain RuntimeError: on the CPU, and by cuBLAS or cuDNN on CUDA.
_OUT_OF_MEMORY_WORDS = ("not enough memory", "out of memory", "can't allocate memory", "ALLOC_FAILED")


def as_engine_error(error: Exception, num_tokens: int, num_pictures: int) -> EngineError:
    """The error for a request that is `num_tokens` long. Raises `error` again where the device itself is at fault:
    every later call to it fails too.
    """
    if isinstance(error, EngineError):
        return error
    if is_out_of_memory(error):
        _log.warning("out of memory at %d tokens: %s", num_tokens, error)
        return OutOfMemory(num_tokens, num_pictures, first_sentence(error))
    if isinstance(error, torch.AcceleratorError):
        raise error
    _log.error("the network failed", exc_info=error)
    return GenerationFailed(type(error).__name__, first_sentence(error))


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, on whatever device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY_WORDS)


def first_sentence(error: Exception) -> str:
    """The first line of what it says, cut where it is long; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def give_memory_back() -> None:
    """What Python and PyTorch hold and nobody uses."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
