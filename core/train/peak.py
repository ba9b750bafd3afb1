"""The most memory that this process has taken so far, of the device that it computes on."""

import resource
import sys
from pathlib import Path

import torch

from core.train.memory import PROGRAM


def peak_bytes() -> int:
    """Return the peak in bytes: on a graphics card what torch reserved there and its context, else the resident size."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() + PROGRAM["cuda"]
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
