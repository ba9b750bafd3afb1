"""What a run left behind, found and checked: the base model it started from and the adapter to put on it. No torch here."""

from dataclasses import dataclass
from pathlib import Path

from core.errors import ModelError, problem
from core.models.folder import find_model, fingerprint
from core.runs.directory import Run
from core.workspace import Workspace


@dataclass(frozen=True)
class Trained:
    """`adapter` holds the tokenizer and template that were trained with; `four_bit` says how the base was loaded."""

    base: Path
    adapter: Path
    four_bit: bool


def trained(workspace: Workspace, run: Run, adapter: str | None = None) -> Trained:
    """Return the base model and the adapter of a run; `adapter` is a path inside the run, default: its newest.

    Raises:
        RunError: if the run has not saved an adapter yet.
        ModelError: if the base model is gone, or is not the one that was trained.
    """
    folder = run.path / adapter if adapter else run.require_adapter()
    wanted = run.config["model"]
    base = find_model(workspace, wanted["path"])
    if wanted["fingerprint"] and fingerprint(base) != wanted["fingerprint"]:
        raise ModelError(problem("model.other_base", wanted["path"], run=run.name))
    return Trained(base, folder, run.settings.method.name == "qlora")
