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
_AGAIN = 10.0  # seconds after which nvidia-smi is asked again when it did not answer
_NO_CARDS = (6, 9, 12)  # its exit codes for: nothing found, no driver, no library of the driver
_GPU = "gpu:"
LANES: dict[str, Lane] = {  # of the workers that take turns
    "core.train.worker": "accelerator",
    "core.evaluate.worker": "accelerator",
    "core.experiments.worker": "accelerator",  # for its trainings and evaluations, which do not wait in the queue
    "core.merge.worker": "processor",
    "core.curate.worker": "light",
}


def devices_of(lane: Lane) -> tuple[Device, ...]:
    """Return the devices of which a job of this lane needs one, in the order in which they are tried.

    None at all while nobody can tell which cards there are: then nothing of this lane may begin.
    """
    if lane == "light":
        return LIGHT
    if lane == "accelerator":
        found = cards(os.environ.get("CUDA_VISIBLE_DEVICES"))
        return () if found is None else tuple(_GPU + card for card in found) or (CPU,)
    return (CPU,)


def environment(device: Device) -> dict[str, str]:
    """Return what a worker's environment gets, so that it sees this device alone."""
    if device == CPU and shutil.which("nvidia-smi"):
        return {"CUDA_VISIBLE_DEVICES": ""}  # a card that was away for a moment may have a job
    if not device.startswith(_GPU):
        return {}
    # nvidia-smi counts cards by their place on the bus, CUDA by their speed unless it is told to do the same.
    return {"CUDA_VISIBLE_DEVICES": device.removeprefix(_GPU), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def card_of(device: Device) -> str | None:
    """Return how a graphics card is called in CUDA_VISIBLE_DEVICES, None for a device that is none."""
    return device.removeprefix(_GPU) if device.startswith(_GPU) else None


def cards(visible: str | None) -> tuple[str, ...] | None:
    """Return the graphics cards that jobs may use: all of the machine, or those that `visible` names, in its order.

    None while nvidia-smi is there and has never answered.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None or visible in ("", "-1") or not torch_uses_cards():
        return ()
    known = _cards.look(tool)
    if visible is None or not known:
        return known
    return tuple(each.strip() for each in visible.split(",") if each.strip())


def free_memory(card: str) -> int | None:
    """Return the bytes that are free on a card, None when nobody can tell."""
    tool = shutil.which("nvidia-smi")
    found = _ask(tool, "memory.free", "-i", card) if tool else None
    return int(found[0][0]) << 20 if found and found[0][0].isdigit() else None


@lru_cache(maxsize=1)
def torch_uses_cards() -> bool:
    """Read from torch's own version file whether it was built for cards; importing it would take seconds."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    return re.search(r"^(?:cuda|hip)\b[^=\n]*=\s*'", text, re.MULTILINE) is not None


def _ask(tool: str, wanted: str, *further: str) -> list[list[str]] | None:
    """Return what nvidia-smi tells, a list a card; None when it does not answer."""
    query = [tool, f"--query-gpu={wanted}", "--format=csv,noheader,nounits", *further]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    if told.returncode:
        return [] if told.returncode in _NO_CARDS else None
    return [[part.strip() for part in line.split(",")] for line in told.stdout.splitlines() if line.strip()]


class _Cards:
    """The cards that nvidia-smi has told. It takes a tenth of a second, so it is asked once a minute.

    Where it does not answer (a busy driver, a card that fell off the bus), the cards of before still count: taken for a
    machine without any, a second training would begin beside the one on the card.
    """

    def __init__(self) -> None:
        self._found: tuple[str, ...] | None = None
        self._ask_from = 0.0

    def look(self, tool: str) -> tuple[str, ...] | None:
        """Return the indices of the cards, None when they were never told."""
        if time.monotonic() >= self._ask_from:
            told = _ask(tool, "index,uuid")
            found = tuple(each[0] for each in told or () if each[0].isdigit())
            if found or (told is not None and self._found is None):
                self._found = found
            self._ask_from = time.monotonic() + (_AGAIN if told is None else _ASKED_EVERY)
        return self._found


_cards = _Cards()
