"""The device that a training would use, and its memory; read from the system, without torch.

A graphics card counts only when the installed torch can use it: a CPU build beside a card trains on the processor.
"""

import contextlib
import os
import platform
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import psutil

from core.runs.devices import torch_uses_cards as _torch_uses_cards

_GROUP_FILES = (  # of a container's memory: its limit, what is used, and what of that is a cache of files; in both layouts
    ("memory.max", "memory.current", "memory.stat", "file "),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_cache "),
)
_ASKED_EVERY = 5.0  # seconds between two questions to nvidia-smi; each takes a tenth of one


@dataclass(frozen=True)
class Machine:
    """`total` and `free` are bytes: of the card, or of the machine or the container that limits it.

    `bfloat16` says whether the hardware computes in it; None where nobody can tell without torch.
    """

    device: Literal["cpu", "cuda"]
    name: str
    total: int
    free: int
    bfloat16: bool | None


def machine() -> Machine:
    """Return the device that a worker started now would use."""
    return _card(int(time.monotonic() / _ASKED_EVERY)) or _processor()


def _processor(groups: Path = Path("/sys/fs/cgroup")) -> Machine:
    memory = psutil.virtual_memory()
    total, free = memory.total, memory.available
    for limit, current, kept, cache in _GROUP_FILES:
        with contextlib.suppress(OSError, ValueError, StopIteration):  # no group, or one without a limit ("max")
            allowed = int((groups / limit).read_text())
            lines = (groups / kept).read_text().splitlines()
            cached = next(int(line.split()[1]) for line in lines if line.startswith(cache))  # given back when wanted
            used = int((groups / current).read_text()) - cached
            total, free = min(total, allowed), min(free, allowed - used)
    return Machine("cpu", f"{_processor_name()} x {_cores()}", total, max(0, free), _cpu_bfloat16())


@lru_cache(maxsize=1)
def _card(_: int) -> Machine | None:
    """Ask nvidia-smi for the first card that this process may use."""
    tool = shutil.which("nvidia-smi")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if tool is None or visible in ("", "-1") or not _torch_uses_cards():
        return None
    query = [tool, "--query-gpu=name,memory.total,memory.free,compute_cap", "--format=csv,noheader,nounits"]
    if visible:
        query += ["-i", visible.partition(",")[0]]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=5, check=True).stdout
        name, total, free, capability = (part.strip() for part in answer.partition("\n")[0].split(","))
        return Machine("cuda", name, int(total) << 20, int(free) << 20, float(capability) >= 8.0)  # Ampere and later
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


@lru_cache(maxsize=1)
def _processor_name() -> str:
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _cpu_bfloat16() -> bool | None:
    with contextlib.suppress(OSError):
        found = re.search(r"^flags\s*:(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if found:
            return bool({"avx512_bf16", "amx_bf16"} & set(found[1].split()))
    return None
