"""What the machine offers a run; measured in model/training/machine_speed.py. No torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """Bytes, and floating-point operations per second."""

    device: str  # "cpu", "cuda", "mps"
    free_memory: int  # of the GPU's, or of the computer's, before a run is started
    base_memory: int  # what a process with the libraries takes of it before there is a model
    free_disk: int
    flops_per_second: float  # of a matrix product as large as this model's, in the run's number format
    bytes_per_number: int  # of the format that the run computes in
    start_seconds: float = 10.0  # until a process has its libraries

    @property
    def name(self) -> str:
        """For a sentence."""
        return "this computer" if self.device == "cpu" else "this GPU"


@dataclass(frozen=True, slots=True)
class Efficiency:
    """The share of `flops_per_second` that training reaches. `run` is the newest run that it was learned from, "" for a
    first guess."""

    share: float
    run: str = ""
