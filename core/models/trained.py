"""What a run left behind, found and checked: the base model it started from and what it made of it. No torch here."""

from dataclasses import dataclass
from pathlib import Path

from core.errors import ModelError, problem
from core.models.folder import find_model, fingerprint
from core.models.methods import bits_of
from core.runs.directory import Run
from core.workspace import Workspace


@dataclass(frozen=True)
class Trained:
    """`tuned` is an adapter or a whole model, with the tokenizer and template that were trained with.

    `bits` are those of a base weight during the training.
    """

    base: Path
    tuned: Path
    bits: int


def trained(workspace: Workspace, run: Run, saved: str | None = None) -> Trained:
    """Return the base model of a run and what it made of it; `saved` is a path inside the run, default: its newest.

    Raises:
        RunError: if the run has not saved anything yet.
        ModelError: if the base model is gone, or is not the one that was trained.
    """
    folder = run.path / saved if saved else run.require_adapter()
    wanted = run.config["model"]
    base = find_model(workspace, wanted["path"], wanted.get("revision"))
    if wanted["fingerprint"] and fingerprint(base) != wanted["fingerprint"]:
        raise ModelError(problem("model.other_base", wanted["path"], run=run.name))
    return Trained(base, folder, bits_of(run.settings))
