"""How long a training takes on this machine: measured by a probe, told by an earlier run, or estimated. No torch here.

A measurement is kept in the workspace's cache under everything that decides it: the model, the method, how it is computed and
on what. It counts for micro-batches of about the size that it was taken with.
"""

import hashlib
import importlib.metadata
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy

from core.models.methods import bits_of
from core.models.size import Size
from core.runs import events
from core.runs.directory import Run, listing
from core.runs.process import last_event
from core.settings import RunSettings
from core.train.conflicts import LORA
from core.train.machine import Machine
from core.workspace import Workspace

_FRESH_DAYS = 30  # chosen by us: drivers and libraries change; the versions of the latter are part of the key
_ALIKE = 1.5  # times; a micro-batch up to so much larger or smaller has about the same speed
_LOOKED_AT = 20  # newest runs that are looked at for one of the same key
_STEP_SECONDS = 0.03  # of a step beside its arithmetic; measured on the starter model, 2 cores
_LOAD_SECONDS = 6.0  # for the libraries; measured, 2 cores
_READ_BYTES = 4e8  # bytes a second at which weights are read and converted; measured, 2 cores
# Operations a second that a training of large matrices reaches, about 40 % of what the card's sheet says for bfloat16.
_CARDS = (
    ("H200", 4e14),
    ("H100", 4e14),
    ("A100", 1.2e14),
    ("L40", 7e13),
    ("4090", 6e13),
    ("A10", 4e13),
    ("3090", 3e13),
)
_OTHER_CARD = 2e13


@dataclass(frozen=True)
class Shape:
    """What decides the speed of a step beside the model, in tokens: the largest micro-batch, an average step and example."""

    micro_batch: int
    step: float
    example: float

    def is_like(self, other: "Shape") -> bool:
        mine, theirs = asdict(self), asdict(other)
        return all(1 / _ALIKE <= mine[name] / max(theirs[name], 1e-9) <= _ALIKE for name in mine)


@dataclass(frozen=True)
class Speed:
    """`basis` says where it comes from: a probe, an earlier run, or an estimate. `peak_bytes` is 0 where not measured."""

    seconds_per_token: float
    load_seconds: float
    peak_bytes: int
    basis: Literal["probe", "run", "estimate"]


def key_of(settings: RunSettings, fingerprint: str, machine: Machine) -> str:
    """Return the name under which the speed of a run is kept: equal for runs that compute the same on the same machine."""
    method, batch = settings.method, settings.batch
    deciding = {
        "model": fingerprint,
        "chatml": settings.model.add_chatml,
        "method": (method.name, bits_of(settings), method.layers, method.virtual_tokens),
        "lora": (settings.lora.rank, sorted(settings.lora.targets)) if method.name in LORA else None,
        "optim": (settings.optim.name, settings.optim.neftune_alpha is not None),
        "batch": (batch.packing, batch.micro_batch_size),
        "compute": settings.compute.model_dump(),
        "machine": (machine.device, machine.name),
        "versions": [_version(name) for name in ("torch", "transformers", "peft", "bitsandbytes")],
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:24]


def keep(workspace: Workspace, key: str, shape: Shape, speed: Speed) -> None:
    """Write a measurement down."""
    file = _file(workspace, key)
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(f".{uuid.uuid4().hex}.part")
    aside.write_text(
        json.dumps({"time": time.time(), "shape": asdict(shape), "speed": asdict(speed)}), encoding="utf-8"
    )
    aside.replace(file)


def speed(
    workspace: Workspace,
    settings: RunSettings,
    size: Size,
    fingerprint: str,
    weight_bytes: int,
    machine: Machine,
    shape: Shape,
) -> Speed:
    """Return what is known best about the speed of a run: a fresh probe, an earlier run of the same kind, or an estimate."""
    key = key_of(settings, fingerprint, machine)
    return (
        _probed(workspace, key, shape)
        or _of_a_run(workspace, key, shape)
        or estimate(settings, size, weight_bytes, machine, shape)
    )


def estimate(settings: RunSettings, size: Size, weight_bytes: int, machine: Machine, shape: Shape) -> Speed:
    """Return a speed from the number of weights alone; right within a factor of three or so.

    A token costs 2 operations a weight forward and 4 backward, less 2 where the weight itself is not trained.
    """
    operations = (6 if settings.method.name in ("full", "freeze") else 4) * size.parameters
    seconds = operations / _operations_per_second(machine) + _STEP_SECONDS / max(1.0, shape.step)
    return Speed(seconds, _LOAD_SECONDS + weight_bytes / _READ_BYTES, 0, "estimate")


def _probed(workspace: Workspace, key: str, shape: Shape) -> Speed | None:
    try:
        kept = json.loads(_file(workspace, key).read_text(encoding="utf-8"))
        fresh = time.time() - kept["time"] < _FRESH_DAYS * 86_400
        return Speed(**kept["speed"]) if fresh and Shape(**kept["shape"]).is_like(shape) else None
    except (FileNotFoundError, ValueError, TypeError, KeyError):  # the last three: it is damaged
        return None


def _of_a_run(workspace: Workspace, key: str, shape: Shape) -> Speed | None:
    for run in listing(workspace)[:_LOOKED_AT]:
        planned: Mapping[str, Any] = run.config.get("plan") or {}
        if planned.get("key") != key or not Shape(**planned["shape"]).is_like(shape):
            continue
        last = _last_step(run)
        if last is not None:
            return Speed(1 / last.tokens_per_second, float(planned["load_seconds"]), 0, "run")
    return None


def _last_step(run: Run) -> events.StepFinished | None:
    """Return a late step of a run that has ended, cheaply: from the end of its log."""
    if last_event(run.path) is None:
        return None
    offset = max(0, run.log.stat().st_size - 20_000)
    with run.log.open("rb") as file:
        file.seek(offset)
        offset += file.read(20_000).find(b"\n") + 1 if offset else 0
    seen, _ = events.read_from(run.log, offset)
    steps = [event for event in seen if isinstance(event, events.StepFinished) and event.tokens_per_second > 0]
    return steps[-1] if steps and steps[-1].step >= 20 else None


def _file(workspace: Workspace, key: str) -> Path:
    return workspace.cache / "speed" / f"{key}.json"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _operations_per_second(machine: Machine) -> float:
    if machine.device == "cuda":
        return next((speed for name, speed in _CARDS if name in machine.name), _OTHER_CARD)
    return _products_per_second() * (2 if machine.bfloat16 else 1)


@lru_cache
def _products_per_second() -> float:
    """Measure a float32 matrix product: what a training of this machine reaches at the least."""
    a = numpy.ones((512, 512), dtype=numpy.float32)
    a @ a
    began = time.perf_counter()
    for _ in range(4):
        a @ a
    return 4 * 2 * 512**3 / (time.perf_counter() - began)
