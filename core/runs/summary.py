"""The runs of a workspace at a glance, for a list that is looked at again and again.

Reading five hundred logs takes seconds. So what a list tells of a run is kept, in memory and in WORKSPACE/cache/runs.json,
and made anew only when its directory, its log or its scores have changed; a look at unchanged runs costs three `stat`s a run.
The file can be deleted at any time.
"""

import json
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from core.runs import digest, notes, process, space
from core.runs.digest import Digest
from core.runs.directory import Run, is_config, load
from core.workspace import Workspace

_YOUNG = 2.0  # seconds; what changed so recently may have changed again within the same tick of the file system's clock
_VERSION = 3  # of what is kept; another one is made anew
_MOST_SETS = 50  # data sets whose scores are told of a run; chosen by us
_SAVED_EVERY = 5.0  # seconds between two writings of the file, at least


@dataclass(frozen=True)
class Summary:
    """One run. `curve` has some 60 points (step, loss); `scores` the newest of each data set: (name, right of the
    base, right of the tuned model, examples)."""

    name: str
    status: process.Status
    created: str
    data: tuple[str, ...]
    test: tuple[str, ...]
    prompt: str  # name and version, "" for none
    model: str
    folder: str  # of the base model
    continued: str  # the run whose adapter it went on from, "" for none
    elsewhere: bool  # it was brought in a bundle
    step: int
    total_steps: int
    loss: float | None
    best: float | None  # the lowest validation
    seconds: float  # of the training, 0 before it has ended
    curve: tuple[tuple[float, float], ...]
    scores: tuple[tuple[str, float, float, int], ...]
    note: str
    tags: tuple[str, ...]
    archived: bool
    bytes: int
    stamp: str

    def matches(self, words: str) -> bool:
        """Tell whether every one of the words occurs in what a person would look for."""
        text = " ".join(
            (self.name, self.status, *self.data, *self.test, self.prompt, self.model, *self.tags, self.note)
        ).casefold()
        return all(word in text for word in words.casefold().split())


class Shelf:
    """The summaries of a workspace's runs. One serves any number of visitors."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._file = workspace.cache / "runs.json"
        self._kept: dict[str, dict[str, Any]] | None = None
        self._made: dict[str, Summary] = {}
        self._is_run: dict[str, bool] = {}
        self._lock = threading.Lock()
        self._changed = False
        self._saved = 0.0
        self.left = 0  # runs that the last look has not read

    def look(self, seconds: float = math.inf, least: int = 0) -> tuple[list[Summary], int]:
        """Return the runs, newest first, and how many are left to read when that took longer than `seconds`.

        So many as `least` are read however long it takes.
        """
        with self._lock:
            if self._kept is None:
                self._kept = _opened(self._file)
            began, left = time.monotonic(), 0
            found: list[Summary] = []
            names = sorted(_names(self._workspace.runs), reverse=True)
            for name in names:
                known = self._made.get(name)
                if known is None and len(found) >= least and time.monotonic() - began > seconds:
                    left += 1
                    continue
                summary = self._summary(name, known)
                if summary is not None:
                    found.append(summary)
            gone = self._kept.keys() - set(names)
            for name in gone:
                del self._kept[name]
                self._made.pop(name, None)
            self._changed = self._changed or bool(gone)
            self._save()
            self.left = left
            return sorted(found, key=lambda run: (run.created[:19], run.name), reverse=True), left

    def runs(self) -> list[Run]:
        """Return the runs, newest first, without reading their logs. A config is written once, so that it is read once."""
        found = []
        for name in sorted(_names(self._workspace.runs), reverse=True):
            known = self._is_run.get(name)
            if known is None:
                with suppress(FileNotFoundError):  # it is just being made
                    known = self._is_run[name] = is_config(load(self._workspace.runs / name / "config.yaml"))
            if known:
                found.append(Run(self._workspace.runs / name))
        return found

    def _summary(self, name: str, known: Summary | None) -> Summary | None:
        """Return a run's summary, None where a folder is no run."""
        assert self._kept is not None
        path, kept = self._workspace.runs / name, self._kept.get(name)
        try:
            stamp = _stamp(path)
        except FileNotFoundError:  # deleted at this moment
            return None
        if kept is None or kept["stamp"] != stamp or kept["young"]:
            fresh = _read(path, stamp, kept)
            if fresh != kept:
                self._kept[name], known = fresh, None
                # What a run at work tells each second is not worth a writing of the file.
                self._changed = self._changed or not fresh["values"] or fresh["values"]["status"] != "running"
            kept = fresh
        if kept["values"] is None:
            return None
        status = process.status(path) if kept["values"]["status"] == "running" else kept["values"]["status"]
        if known is None or known.status != status:
            known = _made(kept["values"] | {"status": status, "stamp": f"{stamp} {status}"})
            self._made[name] = known
        return known

    def _save(self) -> None:
        if not self._changed or time.monotonic() - self._saved < _SAVED_EVERY:
            return
        aside = self._file.with_name(f"{self._file.name}.{os.getpid()}.part")
        with suppress(OSError):  # a full disk: it is read again next time
            self._file.parent.mkdir(exist_ok=True)
            aside.write_text(json.dumps({"format": _format(), "runs": self._kept}), encoding="utf-8")
            aside.replace(self._file)
        self._changed, self._saved = False, time.monotonic()


def _names(runs: Path) -> Iterator[str]:
    with os.scandir(runs) as entries:
        yield from (entry.name for entry in entries if entry.is_dir())


def _format() -> list[str]:
    """Return what tells a kept file of this version from that of another, which is made anew."""
    return [str(_VERSION), *(each.name for kind in (Summary, Digest) for each in fields(kind))]


def _opened(file: Path) -> dict[str, dict[str, Any]]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return dict(values["runs"]) if values["format"] == _format() else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _stamp(path: Path) -> list[int]:
    """Return what changes with a run: a file that comes, goes or is renamed changes its folder, an event the log."""
    stamp = [os.stat(path).st_mtime_ns]
    for name, missing in (("events.jsonl", [0, 0]), ("scores", [0, 0])):
        try:
            found = os.stat(f"{path}/{name}")
            stamp += [found.st_mtime_ns, found.st_size]
        except FileNotFoundError:
            stamp += missing
    return stamp


def _read(path: Path, stamp: list[int], kept: dict[str, Any] | None) -> dict[str, Any]:
    """Return what is kept of a run: its stamp, the digest of its log and the values of its summary (None: it is no run)."""
    young = time.time() - max(stamp[0], stamp[1], stamp[3]) / 1e9 < _YOUNG
    values = log = None
    with suppress(OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
        before = Digest.of(kept["digest"]) if kept and kept["digest"] else Digest()
        log = digest.read(path / "events.jsonl", before)
        config = load(path / "config.yaml")
        values = {"name": path.name, **_of_config(config), **_of_log(log), **_of_folder(path)}
    return {"stamp": stamp, "young": young, "digest": log.values() if log and values else None, "values": values}


def _of_config(config: dict[str, Any]) -> dict[str, Any]:
    settings, prompt, model = config["settings"], config["prompt"], config["model"]
    data = settings.get("data") or {}
    named = f"{prompt['name']} v{prompt['version']}" if prompt.get("text") else ""
    return {
        "created": str(config.get("created", "")),
        "data": [str(each) for each in data.get("train") or []],
        "test": [str(each) for each in data.get("test") or []],
        "prompt": named,
        "model": str(model.get("path", "")),
        "folder": str(model.get("folder") or ""),
        "continued": str((config.get("continued") or {}).get("run") or ""),
        "elsewhere": bool(config.get("elsewhere")),
    }


def _of_log(log: Digest) -> dict[str, Any]:
    best = log.best()
    return {
        "step": int(log.last[0]) if log.last else 0,
        "total_steps": log.total_steps,
        "loss": log.last[1] if log.last else None,
        "best": best[1] if best else None,
        "seconds": log.seconds,
        "curve": log.curve(),
    }


def _of_folder(path: Path) -> dict[str, Any]:
    noted = notes.read(path) if (path / notes.FILE).exists() else notes.Notes()
    return {
        "status": process.status(path),
        "scores": _scores(path),
        "note": noted.note,
        "tags": list(noted.tags),
        "archived": noted.archived,
        "bytes": space.of(path).total,
    }


def _scores(path: Path) -> list[list[Any]]:
    """Return (data set, right of the base, right of the tuned model, examples) of the newest evaluation that tells it.

    A set of open questions, to which nothing tells right from wrong, has none.
    """
    told: list[tuple[str, dict[str, list[Any]]]] = []
    for file in path.glob("scores/*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            score = json.loads(file.read_text(encoding="utf-8"))
            rows = {
                name: [name, float(each["base"]["right"]), float(each["tuned"]["right"]), int(each.get("n") or 0)]
                for name, each in score["datasets"].items()
                if None not in (each["base"]["right"], each["tuned"]["right"])
            }
            told.append((str(score["created"]) + str(score["job"]), rows))
    newest: dict[str, list[Any]] = {}
    for _, rows in sorted(told, key=lambda each: each[0], reverse=True):
        newest = {**rows, **newest}
    return sorted(newest.values(), key=lambda row: str(row[0]))[:_MOST_SETS]


def _made(values: dict[str, Any]) -> Summary:
    tuples = {"data", "test", "tags"}
    nested = {"curve", "scores"}
    made = {each.name: values[each.name] for each in fields(Summary)}
    made |= {name: tuple(values[name]) for name in tuples}
    made |= {name: tuple(map(tuple, values[name])) for name in nested}
    return Summary(**made)
