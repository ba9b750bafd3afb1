"""The devices of this machine that jobs take turns on, and which kind of job needs which.

A training or an evaluation takes a graphics card for itself; where there is none that the installed torch can use, it takes
the processor. A merge takes the processor, and so runs beside a training on a card. Work on data is light: two such jobs
run beside anything.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import time
from functools import lru_cache
from pathlib import Path
from typing import Literal

Lane = Literal["accelerator", "processor", "light"]
Device = str  # "gpu:0" (what stands in CUDA_VISIBLE_DEVICES), "cpu", "light:1"
CPU = "cpu"
LIGHT = ("light:1", "light:2")  # chosen by us: a long check of one set must not keep a person from adding another
_ASKED_EVERY = 60.0  # seconds; cards are rarely plugged in
_GPU = "gpu:"
LANES: dict[str, Lane] = {  # of the workers that take turns
    "core.train.worker": "accelerator",
    "core.evaluate.worker": "accelerator",
    "core.merge.worker": "processor",
    "core.curate.worker": "light",
}


def devices_of(lane: Lane) -> tuple[Device, ...]:
    """Return the devices of which a job of this lane needs one, in the order in which they are tried."""
    if lane == "light":
        return LIGHT
    if lane == "accelerator":
        visible, moment = os.environ.get("CUDA_VISIBLE_DEVICES"), int(time.monotonic() / _ASKED_EVERY)
        return tuple(_GPU + card for card in cards(visible, moment)) or (CPU,)
    return (CPU,)


def environment(device: Device) -> dict[str, str]:
    """Return what a worker's environment gets, so that it sees this device alone."""
    if not device.startswith(_GPU):
        return {}
    # nvidia-smi counts cards by their place on the bus, CUDA by their speed unless it is told to do the same.
    return {"CUDA_VISIBLE_DEVICES": device.removeprefix(_GPU), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def card_of(device: Device) -> str | None:
    """Return how a graphics card is called in CUDA_VISIBLE_DEVICES, None for a device that is none."""
    return device.removeprefix(_GPU) if device.startswith(_GPU) else None


@lru_cache(maxsize=2)
def cards(visible: str | None, moment: int = 0) -> tuple[str, ...]:
    """Return the graphics cards that jobs may use: all of the machine, or those that `visible` names, in its order.

    Asked once a `moment`: nvidia-smi takes a tenth of a second.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None or visible in ("", "-1") or not torch_uses_cards():
        return ()
    known = [index for index, _ in _ask(tool, "index,uuid")]
    if visible is None:
        return tuple(known)
    return tuple(each.strip() for each in visible.split(",") if each.strip()) if known else ()


def free_memory(card: str) -> int | None:
    """Return the bytes that are free on a card, None when nobody can tell."""
    tool = shutil.which("nvidia-smi")
    found = _ask(tool, "memory.free", "-i", card) if tool else []
    return int(found[0][0]) << 20 if found and found[0][0].isdigit() else None


@lru_cache(maxsize=1)
def torch_uses_cards() -> bool:
    """Read from torch's own version file whether it was built for cards; importing it would take seconds."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    return re.search(r"^(?:cuda|hip)\b[^=\n]*=\s*'", text, re.MULTILINE) is not None


def _ask(tool: str, wanted: str, *further: str) -> list[list[str]]:
    """Return what nvidia-smi tells, a list a card; [] when it does not answer."""
    query = [tool, f"--query-gpu={wanted}", "--format=csv,noheader,nounits", *further]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=5, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
    return [[part.strip() for part in line.split(",")] for line in lines if line.strip()]
