"""Who answers: the base, what a run made of it, and any number of other runs and checkpoints on the same base.

"base" and "tuned" are the run's own; others are called "run:NAME", a checkpoint "step-000200" or "run:NAME:step-000200".
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from core.errors import RunError, problem
from core.models.folder import fingerprint, weight_files
from core.models.trained import Trained, trained
from core.runs import events
from core.runs.directory import COMPLETE, Run, find, step_of
from core.workspace import Workspace

BASE, TUNED = "base", "tuned"
_ROOM = 0.7  # of the free memory; chosen by us
MOST = 64  # chosen by us: more columns than anybody reads, and adapters of all of them are in memory at once


@dataclass(frozen=True)
class Other:
    """A further contestant: another run, or a saved state of one such as `checkpoints/step-000200`; "" = its newest."""

    run: str
    saved: str = ""


@dataclass(frozen=True)
class Contestant:
    """`id` names it in the score; `saved` is a path inside the run; `step` is that of a checkpoint."""

    id: str
    run: str
    saved: str
    prompt: dict[str, Any]  # name, version, text, sha256 of the system prompt it is asked under
    step: int | None = None
    trained: int | None = None  # the step that the state is from, also of a final one

    def described(self) -> dict[str, Any]:
        """Return what the score says of it."""
        return {"id": self.id, "run": self.run, "saved": self.saved, "step": self.step, "trained": self.trained}


def checkpoints_of(run: Run) -> list[Other]:
    """Return the checkpoints of a run that are on the disk, oldest first."""
    return [Other(run.name, str(folder.relative_to(run.path))) for folder in run.checkpoints()]


def contestants(
    workspace: Workspace, run: Run, others: Sequence[Other], prompt: dict[str, Any] | None
) -> list[Contestant]:
    """Return the tuned model of a run and the others, each once.

    Args:
        prompt: the system prompt that all are asked under; None asks each under the one it was trained with.

    Raises:
        RunError: if one has saved nothing, or was trained on another base or with other bits than the run.
        ModelError: if the base model is gone or another one.
    """
    first = trained(workspace, run)
    found = {
        (run.name, _saved(run, first)): Contestant(TUNED, run.name, _saved(run, first), *_about(run, first, prompt))
    }
    for other in others:
        theirs = find(workspace, other.run)
        model = trained(workspace, theirs, _checked(theirs, other.saved))
        _check_same_base(run, first, theirs, model)
        saved = _saved(theirs, model)
        id = _id(run, theirs, saved, named=bool(other.saved))
        found.setdefault((theirs.name, saved), Contestant(id, theirs.name, saved, *_about(theirs, model, prompt)))
    if len(found) > MOST:
        raise RunError(problem("evaluate.too_many", run.name, n=len(found), most=MOST))
    _check_room(run, [trained(workspace, find(workspace, each.run), each.saved) for each in found.values()])
    return list(found.values())


def same_as_trained(workspace: Workspace, contestant: Contestant) -> bool:
    """Tell whether it is asked under the system prompt it was trained with."""
    return (contestant.prompt["text"] or "") == (find(workspace, contestant.run).config["prompt"]["text"] or "")


def digest(model: Trained, who: str) -> str:
    """Return what tells a contestant's weights and tokenizer from every other's: of the tuned, all bytes count."""
    told = hashlib.sha256(fingerprint(model.base).encode())
    told.update(str(model.bits).encode())
    files = sorted(
        model.tuned.glob("*.json") if who == BASE else [*model.tuned.glob("*.json"), *model.tuned.glob("*.safetensors")]
    )
    for file in files:
        if who != BASE or file.name.startswith("tokenizer"):
            with file.open("rb") as opened:
                told.update(file.name.encode() + hashlib.file_digest(opened, "sha256").digest())
    return told.hexdigest()


def _about(run: Run, model: Trained, prompt: dict[str, Any] | None) -> tuple[dict[str, Any], int | None, int | None]:
    step = step_of(model.tuned) if model.tuned.parent.name == "checkpoints" else None
    return prompt or dict(run.config["prompt"]), step, step or _kept_step(run)


def _kept_step(run: Run) -> int | None:
    """Return the step that the final state of a run is from, None of a run that did not tell."""
    told = events.standing(events.read_from(run.log)[0])
    return next((each.kept_step for each in reversed(told) if isinstance(each, events.TrainingEnded)), None)


def _saved(run: Run, model: Trained) -> str:
    return str(model.tuned.relative_to(run.path))


def _id(first: Run, run: Run, saved: str, named: bool) -> str:
    place = Path(saved).name if named else ""
    if run.name == first.name:
        return place
    return f"run:{run.name}" + (f":{place}" if place else "")


def _checked(run: Run, saved: str) -> str | None:
    """Return a saved state that is one of the run's."""
    if not saved:
        return None
    if saved not in _states(run):
        raise RunError(problem("evaluate.no_checkpoint", run.name, saved=saved, known=known_states(run)))
    return saved


def known_states(run: Run) -> str:
    """Return the saved states of a run as they stand in a sentence."""
    return ", ".join(_states(run)) or "–"


def _states(run: Run) -> list[str]:
    final = ["final"] if (run.path / "final" / COMPLETE).exists() else []
    return [*final, *(str(folder.relative_to(run.path)) for folder in run.checkpoints())]


def _check_room(run: Run, models: Sequence[Trained]) -> None:
    """Refuse whole models that would not fit: unlike adapters, the weights of each are held beside the base's."""
    whole = [model.tuned for model in models if not (model.tuned / "adapter_config.json").is_file()]
    needed = sum(file.stat().st_size for folder in whole[1:] for file in weight_files(folder))
    free = psutil.virtual_memory().available
    if needed > _ROOM * free:
        values = {"n": len(whole), "needed": f"{needed / 1e9:.1f}", "free": f"{free / 1e9:.1f}"}
        raise RunError(problem("evaluate.whole_models", run.name, **values))


def _check_same_base(first: Run, model: Trained, other: Run, theirs: Trained) -> None:
    if fingerprint(model.base) != fingerprint(theirs.base):
        values = {"base": first.config["model"]["path"], "other": other.config["model"]["path"]}
        raise RunError(problem("evaluate.other_base", other.name, run=first.name, **values))
    if model.bits != theirs.bits:
        raise RunError(problem("evaluate.other_bits", other.name, run=first.name, bits=model.bits, other=theirs.bits))
