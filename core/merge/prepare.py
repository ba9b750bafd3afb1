"""Check what a merge needs and write its job directory. No torch: the page does this before it starts the worker."""

import time
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

from core.errors import PathError, ResourceError, RunError, SettingsError, problem
from core.models import folder as models
from core.models.methods import TRAITS
from core.models.quantised import quantisation
from core.models.trained import trained
from core.runs.directory import Run, create
from core.workspace import Workspace, require_space

Dtype = Literal["float32", "bfloat16", "float16"]
BYTES: dict[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
_WORKER_BYTES = 700_000_000  # resident size of a process that has imported torch and peft; measured, CPU build


def prepare(
    workspace: Workspace, run: Run, *, out: str | None = None, dtype: Dtype = "bfloat16", shard_gb: float = 4.0
) -> Path:
    """Return a new job directory, ready for `supervisor.launch(job, "core.merge.worker")`.

    Args:
        out: folder of the merged model; None makes one called like the run in the workspace's models.
        dtype: of the weights that are written.
        shard_gb: most gigabytes (1e9 bytes) in one file.

    Raises:
        StudioError: if there is no adapter, or one that cannot be merged, the base is gone or quantised, the folder is taken,
            or disk or memory is short.
    """
    _check_values(dtype, shard_gb)
    model = trained(workspace, run)
    _require_mergeable(run, model.tuned)
    if quantisation(model.base) is not None:
        raise RunError(problem("merge.quantized_base", run.config["model"]["path"]))
    folder = workspace.writable(out) if out else workspace.models / run.name
    require_free(folder)
    weights = models.parameters(model.base)
    require_space(folder, int(weights * BYTES[dtype] * 1.02) + 50_000_000, str(folder))
    _require_memory(weights)
    return create(
        run.path / "merges",
        dtype,
        {
            "kind": "merge",
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "workspace": str(workspace.root),
            "allow": [str(each) for each in workspace.allow],
            "run": run.name,
            "adapter": str(model.tuned.relative_to(run.path)),
            "out": str(folder),
            "dtype": dtype,
            "shard_gb": shard_gb,
        },
    )


def _require_mergeable(run: Run, tuned: Path) -> None:
    traits = TRAITS[run.settings.method.name]
    if not traits.adapter:
        raise RunError(problem("merge.whole_model", run.name, folder=str(tuned)))
    if not traits.mergeable:
        raise RunError(problem("merge.virtual_tokens", run.name))


def require_free(folder: Path) -> None:
    """Check that nothing lies where the merged model is to be written.

    Raises:
        PathError: if there is a file, or a folder that is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PathError(problem("merge.folder_taken", str(folder)))


def _require_memory(weights: int) -> None:
    """The base is loaded in float32 and its layers are merged one by one: four bytes a weight and one layer more."""
    needed = int(weights * 4 * 1.15) + _WORKER_BYTES
    free = psutil.virtual_memory().available
    if free < needed:
        raise ResourceError(problem("merge.memory", needed=f"{needed / 1e9:.1f}", free=f"{free / 1e9:.1f}"))


def _check_values(dtype: Any, shard_gb: float) -> None:
    if dtype not in get_args(Dtype):
        choices = ", ".join(get_args(Dtype))
        raise SettingsError(problem("settings.not_a_choice", "dtype", value=repr(dtype), choices=choices))
    if not 0.001 <= shard_gb <= 100:  # also turns NaN away
        raise SettingsError(problem("settings.out_of_range", "shard_gb", value=shard_gb, range="0.001 … 100"))
