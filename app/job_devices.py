"""Which device a job will train on, so that the queue gives each device one job at a time. The page has no torch to
ask: the GPUs are those that nvidia-smi lists, or that CUDA_VISIBLE_DEVICES names."""

from __future__ import annotations

import logging
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_log = logging.getLogger(__name__)
VISIBLE = "CUDA_VISIBLE_DEVICES"
_ASK = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")
_ASK_SECONDS = 20.0
MAX_KEY = 100


@dataclass(frozen=True, slots=True)
class Device:
    """`key` names it among all pages of this machine; `visible` is CUDA's name for it, "" for what is no GPU of
    CUDA's."""

    key: str
    visible: str = ""


@dataclass(frozen=True, slots=True)
class Devices:
    """What this page's jobs may train on. `gpus` in the order in which CUDA numbers them for us."""

    gpus: tuple[Device, ...] = ()
    without: Device = Device("cpu")

    @classmethod
    def find(cls, environment: Mapping[str, str]) -> Devices:
        without = Device("mps" if platform.system() == "Darwin" and platform.machine() == "arm64" else "cpu")
        return cls(visible_gpus(environment.get(VISIBLE), _listed()), without)

    def wanted(self, name: str) -> tuple[Device, ...]:
        """Those that would do for `TrainingConfig.device`, the best first. "auto" is any GPU, else what there is
        without; a name that nobody knows is its own device, and the trainer will say what it thinks of it."""
        if name == "auto":
            return self.gpus or (self.without,)
        kind, _, index = name.partition(":")
        number = int(index) if index.isdecimal() and index.isascii() else 0
        if kind == "cuda" and (not index or index.isdecimal()) and number < len(self.gpus):
            return (self.gpus[number],)
        if kind in ("cpu", "mps", "cuda") and not index:
            return (Device("cuda:0" if kind == "cuda" else kind),)
        return (Device(name[:MAX_KEY]),)


def visible_gpus(names: str | None, listed: Sequence[tuple[str, str]]) -> tuple[Device, ...]:
    """`names` is CUDA_VISIBLE_DEVICES, None where it is not set; `listed` are numbers and ids of all that there are.
    As CUDA does, everything from the first name on that names nothing is left out."""
    if names is None:
        return tuple(Device(f"cuda:{index}", index) for index, _ in listed)
    found: list[Device] = []
    for name in (part.strip() for part in names.split(",")):
        if not name or name.startswith("-"):
            break
        numbers = [index for index, uuid in listed if name == index or (uuid and uuid.startswith(name))]
        if listed and not numbers and not name.startswith("MIG-"):
            break
        found.append(Device(f"cuda:{numbers[0] if numbers else name}"[:MAX_KEY], name))
    return tuple(found)


def _listed() -> list[tuple[str, str]]:
    try:
        told = subprocess.run(
            _ASK, capture_output=True, text=True, timeout=_ASK_SECONDS, stdin=subprocess.DEVNULL, check=False
        )
    except FileNotFoundError:
        return []
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("nvidia-smi could not be asked for GPUs: %s", error)
        return []
    if told.returncode:
        return []
    pairs = (line.partition(",") for line in told.stdout.splitlines() if line.strip())
    return [(index.strip(), uuid.strip()) for index, _, uuid in pairs if index.strip().isdecimal()]
