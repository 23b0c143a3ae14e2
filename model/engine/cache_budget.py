"""How much memory the keys and values of all answers may take together, where nobody says it."""

from __future__ import annotations

import os
from pathlib import Path

import torch

CUDA_SHARE = 0.85
"""Of what is free once the weights are there; the rest is for what a pass computes on its way."""
CPU_SHARE = 0.25
"""Of what the machine can spare: others live there too, and remembered prefixes are a comfort, not a need."""
_CGROUP = Path("/sys/fs/cgroup")


def choose_budget(cache_bytes: int | None, device: torch.device, most_useful: int) -> int:
    """`cache_bytes` if given, else a share of what `device` has left; never more than all slots at full length need."""
    if cache_bytes is not None:
        return cache_bytes
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        share = CUDA_SHARE * free
    elif device.type == "mps":
        share = CPU_SHARE * (torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    else:
        share = CPU_SHARE * available_bytes()
    return min(most_useful, int(share))


def available_bytes() -> int:
    """What a process can still take on this machine, or in this container where that is less."""
    return min(_machine_bytes(), _container_bytes())


def _machine_bytes() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    # Elsewhere the system does not say what is available; half of all memory is assumed to be.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _container_bytes(folder: Path = _CGROUP) -> int:
    """The limit of control groups, version 2, less what is used; without one, more than any machine has."""
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        return 2**62 if limit == "max" else max(0, int(limit) - used)
    except (OSError, ValueError):
        return 2**62
