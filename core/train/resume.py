"""Going on with a run that ended before its last step: from where, and whether everything is still what it was. No torch.

Resuming takes the steps that are left, exactly as if nothing had happened: same settings, data, model and prompt. To train
further with others is a new run that goes on from the adapter (`core.train.going_on`).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.pinned import check_pinned
from core.data.registry import Registry
from core.errors import Problem, RunError, StudioError, problem
from core.models import folder as models
from core.runs.directory import STATE, Run, step_of
from core.runs.intact import is_intact
from core.runs.process import QUEUED
from core.train.machine import machine
from core.train.versions import versions
from core.workspace import Workspace

TENSORS = "training_state.safetensors"
FILES = (STATE, TENSORS)  # beside what is learnt, in a checkpoint
_ENDED_EARLY = ("stopped", "lost", "failed")
_FREE = ("checkpoint.", "log.every_steps", "log.trackers", "name")  # settings that change nothing of what is learnt


@dataclass(frozen=True)
class Position:
    """A checkpoint to go on from. `log_bytes` is how long the event log was when it was saved."""

    folder: Path
    step: int
    log_bytes: int
    made_with: Mapping[str, Any]


def resumable(run: Run) -> int | None:
    """Return the step that a run would go on from, 0 for its start; None when it is at work, waits, or has done all.

    None, too, for one that came in a bundle, or whose checkpoints an older studio saved without a state to go on from.

    Whether the checkpoint is intact is seen when it is read.
    """
    status = run.status
    unstarted = status == "queued" and not (run.path / QUEUED).exists()
    if run.config.get("elsewhere") or (status not in _ENDED_EARLY and not unstarted):
        return None
    saved = _with_state(run)
    if not saved and run.checkpoints():  # an older studio's, which would be lost in a start from the first step
        return None
    return step_of(saved[-1]) if saved else 0


def check(workspace: Workspace, run: Run) -> list[Problem]:
    """Return what is different from when the run was at work, and would only show in the last digits.

    Raises:
        StudioError: if its data, model, prompt or settings are others by now: what came out would be neither run.
    """
    return compared(workspace, run, *last_intact(run))


def compared(workspace: Workspace, run: Run, position: Position | None, damaged: Sequence[Path]) -> list[Problem]:
    """Return and raise what `check` does, of checkpoints that were looked at already."""
    _require_same(workspace, run, position)
    found = [problem("resume.damaged", folder.name, step=step_of(folder)) for folder in damaged]
    return [*found, *(_drifted(position) if position else ())]


def require_resumable(run: Run) -> int:
    """Return `resumable`.

    Raises:
        RunError: if there is nothing to go on with.
    """
    step = resumable(run)
    if step is None:
        raise RunError(problem("resume.not_ended", run.name, status=run.status))
    return step


def clear(run: Run) -> None:
    """Take away what told the last worker to stop."""
    (run.path / "stop").unlink(missing_ok=True)


def last_intact(run: Run) -> tuple[Position | None, list[Path]]:
    """Return the newest checkpoint that is as it was written, and those after it that are not."""
    damaged: list[Path] = []
    for folder in reversed(_with_state(run)):
        if is_intact(folder):
            values = json.loads((folder / STATE).read_text(encoding="utf-8"))
            return Position(folder, step_of(folder), values["log_bytes"], values["made_with"]), damaged
        damaged.append(folder)
    return None, damaged


def made_with(run: Run, fingerprint: str) -> dict[str, Any]:
    """Return what the steps of a run depend on, as it is now."""
    config = run.config
    return {
        "settings": run.settings.model_dump(mode="json"),
        "data": {each["name"]: [each.get("sha1", ""), each.get("split_sha1", "")] for each in config["data"]},
        "model": fingerprint,
        "prompt": hashlib.sha256((config["prompt"]["text"] or "").encode()).hexdigest(),
        "versions": versions(),
        "device": machine().name,
    }


def _require_same(workspace: Workspace, run: Run, position: Position | None) -> None:
    problems: list[Problem] = []
    registry, base = Registry(workspace), run.config["model"]
    for recorded in run.config["data"]:
        try:
            check_pinned(registry, recorded)
        except StudioError as error:
            problems += error.problems
    found = base["fingerprint"] or ""
    try:
        found = models.fingerprint(models.find_model(workspace, base["path"], base.get("revision")))
        if base["fingerprint"] not in (None, found):
            problems.append(problem("model.other_base", base["path"], run=run.name))
    except StudioError as error:
        problems += [each for each in error.problems if each.code != "model.not_cached"]  # the worker downloads it
    if position is not None:
        problems += _changed(run, position, found)
    if problems:
        raise RunError(*problems)


def _changed(run: Run, position: Position, fingerprint: str) -> Iterator[Problem]:
    """Find what config.yaml says otherwise than it did when the checkpoint was saved."""
    now, then = made_with(run, fingerprint), position.made_with
    for path, (before, after) in _differences(then["settings"], now["settings"]).items():
        if not path.startswith(_FREE):
            yield problem("resume.other_setting", path, before=before, after=after)
    for name in sorted({*then["data"], *now["data"]}):
        if then["data"].get(name) != now["data"].get(name):
            yield problem("resume.other_data", name)
    if not run.config["model"]["fingerprint"] and fingerprint and then["model"] != fingerprint:  # else told already
        yield problem("model.other_base", run.config["model"]["path"], run=run.name)
    if then["prompt"] != now["prompt"]:
        yield problem("resume.other_prompt", run.config["prompt"]["name"])


def _drifted(position: Position) -> Iterator[Problem]:
    then, now = position.made_with, versions()
    others = [f"{name} {then['versions'].get(name, '–')} → {now[name]}" for name in now
              if then["versions"].get(name) != now[name]]  # fmt: skip
    if others:
        yield problem("resume.other_versions", changes=", ".join(others))
    if then["device"] != (here := machine().name):
        yield problem("resume.other_device", before=then["device"], after=here)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> dict[str, tuple[Any, Any]]:
    """Return dotted path -> (before, after) of what two trees of settings have different; a setting may have come since."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in before.keys() & after.keys():
        one, other, here = before[key], after[key], f"{path}{key}"
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found |= _differences(one, other, f"{here}.")
        elif one != other:
            found[here] = (one, other)
    return found


def _with_state(run: Run) -> list[Path]:
    """Return the checkpoints that a training can go on from, oldest first."""
    return [folder for folder in run.checkpoints() if (folder / STATE).exists()]
