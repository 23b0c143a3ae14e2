"""What the numbers were measured on: only ratios carry over to another machine."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch
import transformers


def describe(device: str = "cpu") -> str:
    """Cores, processor, memory, libraries, threads and the load just now, one line each."""
    lines = [
        f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}",
        f"- {num_cores()} cores of {_cpu_name()}, {_memory_gb():.0f} GB; load before the start "
        + " ".join(f"{load:.2f}" for load in os.getloadavg()),
        f"- torch {torch.__version__} with {torch.get_num_threads()} threads "
        f"({torch.backends.cpu.get_cpu_capability()}), transformers {transformers.__version__}",
    ]
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        lines.append(
            f"- {gpu.name}, {gpu.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}; measured on {device}"
        )
    else:
        lines.append("- no CUDA device")
    return "\n".join(lines)


def num_cores() -> int:
    """The cores that this process may use: a container often has fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for row in info.read_text(encoding="utf-8").splitlines():
            if row.startswith("model name"):
                return row.partition(":")[2].strip()
    return platform.processor() or "an unnamed processor"


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
