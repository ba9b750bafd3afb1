"""What a list tells of an event log, read as it grows: few points of the curve, where it stands, how it ended.

A log of a long run has a hundred thousand steps. Of these only some are parsed, and each byte is read once: a digest can be
kept, and goes on from the offset where it was left.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

POINTS = 60  # of a sparkline; chosen by us: it is 120 pixels wide
_STEP = b'"step_finished"'
_TOLD = {"run_started", "validated", "training_ended", "resumed", "run_finished", "run_stopped", "run_failed"}


@dataclass
class Digest:
    """`points` are [step, loss] of the training, `validated` of the validation."""

    offset: int = 0
    steps: int = 0  # step lines read so far
    stride: int = 1  # every so manieth of them is a point
    points: list[list[float]] = field(default_factory=list)
    validated: list[list[float]] = field(default_factory=list)
    last: list[float] | None = None
    total_steps: int = 0
    seconds: float = 0.0  # of the training, once it has ended
    best_step: int | None = None
    end: str = ""

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Digest":
        """Return the digest that `values` was."""
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})

    def values(self) -> dict[str, Any]:
        return asdict(self)

    def curve(self) -> list[list[float]]:
        """Return at most about `POINTS` points, the last step among them, with the digits that a small picture shows."""
        ends = [self.last] if self.last and (not self.points or self.points[-1][0] < self.last[0]) else []
        return [[step, round(loss, 5)] for step, loss in (*self.points, *ends)]

    def best(self) -> list[float] | None:
        """Return step and loss of the lowest validation of what was trained."""
        return min((each for each in self.validated if each[0] > 0), key=lambda each: each[1], default=None)


def read(log: Path, digest: Digest) -> Digest:
    """Read what was appended to a log since the digest was made, into the digest, and return it."""
    try:
        with log.open("rb") as file:
            if file.seek(0, 2) < digest.offset:  # another log than the one that was read
                digest = Digest()
            file.seek(digest.offset)
            data = file.read()
    except FileNotFoundError:
        return Digest()
    whole = data[: data.rfind(b"\n") + 1]
    steps: list[bytes] = []
    at, back = digest.offset, None  # back: the step that the log went back to, and where it said so
    for line in whole.split(b"\n"):
        if _STEP in line[:80]:
            steps.append(line)
        elif (event := _parsed(line)).get("event") in _TOLD:
            _take_steps(digest, steps)
            steps = []
            _take(digest, event)
            back = (int(event.get("step", 0)), at) if event["event"] == "resumed" else back
        at += len(line) + 1
    _take_steps(digest, steps)
    if back and not _took_steps(whole[back[1] - digest.offset :]):
        digest.last = _last_until(log, *back)
    digest.offset += len(whole)
    return digest


def _took_steps(data: bytes) -> bool:
    return any(_STEP in line[:80] for line in data.split(b"\n"))


def _last_until(log: Path, step: int, end: int) -> list[float] | None:
    """Return the last step, up to `step`, that the first bytes of a log tell: among the points there are only some."""
    with log.open("rb") as file:
        lines = file.read(end).split(b"\n") if step > 0 else []
    told = (_point(_parsed(line)) for line in reversed(lines) if _STEP in line[:80])
    return next((each for each in told if each and each[0] <= step), None)


def _take_steps(digest: Digest, lines: list[bytes]) -> None:
    """Take a stretch of step lines in: parse every `stride`-th and the last one."""
    if not lines:
        return
    digest.end = ""
    while (digest.steps + len(lines)) > POINTS * digest.stride:
        digest.stride *= 2
        digest.points = digest.points[::2]
    first = -digest.steps % digest.stride
    for line in lines[first :: digest.stride]:
        point = _point(_parsed(line))
        if point:
            digest.points.append(point)
    digest.steps += len(lines)
    digest.last = _point(_parsed(lines[-1])) or digest.last


def _take(digest: Digest, event: dict[str, Any]) -> None:
    match event["event"]:
        case "run_started":
            digest.total_steps, digest.end = int(event.get("total_steps", 0)), ""
        case "validated":
            point = _point(event)
            digest.validated += [point] if point else []
        case "training_ended":
            measured = event.get("measured") or {}
            seconds = float(measured.get("seconds", 0))
            digest.seconds, digest.best_step = seconds if math.isfinite(seconds) else 0.0, event.get("best_step")
        case "resumed":
            _take_back(digest, int(event.get("step", 0)))
        case _ as end:
            digest.end = end.removeprefix("run_")


def _take_back(digest: Digest, step: int) -> None:
    """Forget what was told of later steps: they are taken again."""
    digest.points = [each for each in digest.points if each[0] <= step]
    digest.validated = [each for each in digest.validated if each[0] <= step and step > 0]
    digest.steps = len(digest.points) * digest.stride
    digest.last = digest.points[-1] if digest.points else None
    digest.end, digest.best_step, digest.seconds = "", None, 0.0


def _point(event: dict[str, Any]) -> list[float] | None:
    step, loss = event.get("step"), event.get("loss")
    if not isinstance(step, int) or not isinstance(loss, int | float) or not math.isfinite(loss):
        return None
    return [step, loss]


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line) if line.strip() else {}
    except ValueError:  # cut off by a full disk
        return {}
    return values if isinstance(values, dict) else {}
