"""What can be done to a data set, a function a task: in this process for the command line, in a worker for the page.

Each takes the workspace, a listener and plain values, and returns a small dict; whole reports lie in the cache. A task that
is cancelled, or fails, leaves everything as it was.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

from core.curate import checking, remaking
from core.data.registry import DatasetEntry, Registry
from core.doctor.report import THOROUGH_UP_TO
from core.progress import Cancelled, Listener
from core.workspace import Workspace

INDEX_FROM = 20_000  # rows; the places of fewer are found in the moment that a page of them is shown
SPLIT_FROM = 200  # rows; smaller sets stay whole unless the person splits them: 5 % of them are too few to test with


def add(
    workspace: Workspace,
    listener: Listener,
    *,
    file: str,
    name: str | None = None,
    formatting: str | None = None,
    columns: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    description: str = "",
    options: Mapping[str, str] | None = None,
    leave_out_broken: bool = False,
    fixes: Sequence[str] = (),
    values: Mapping[str, str] | None = None,
    split: bool | None = None,
    thorough: bool | None = None,
) -> dict[str, Any]:
    """Recognise, register and check a file or folder; `split` None splits where it makes sense (see `splits_itself`).

    Args:
        fixes: codes of the doctor's fixes; the rows are mended before they are registered, as canonical JSONL.
        values: what those fixes fill blanks with.
        thorough: False looks at the structure only; None looks at everything up to 20,000 rows.

    Returns:
        What `described` says, with the summary of the doctor's report.
    """
    listener.phase("adding")
    registry = Registry(workspace)
    before = registry.names()
    source = Path(file)
    read = {"formatting": formatting, "columns": columns, "tags": tags, "options": options}
    if fixes:
        entry = remaking.add_fixed(registry, listener, source, name, fixes, description, values, read)
    else:
        more: dict[str, Any] = {"description": description, "leave_out_broken": leave_out_broken}
        entry = registry.add(source, name, **read, **more, progress=listener)  # type: ignore[arg-type]
    try:
        if (splits_itself(registry, entry) if split is None else split) and entry.parts is None:
            remaking.split(workspace, listener, name=entry.name)
        if entry.rows >= INDEX_FROM:
            from core.data.index import RowIndex

            listener.phase("indexing")
            RowIndex.of(entry.file, workspace.cache, listener)
        whole = entry.rows <= THOROUGH_UP_TO if thorough is None else thorough
        checked = checking.check(workspace, listener, name=entry.name, thorough=whole)
    except BaseException:  # cancelled, or failed: it was registered already, and nobody would expect that
        if entry.name not in before:
            registry.forget(entry.name, source)
        raise
    return described(registry.get(entry.name)) | checked


def folder(workspace: Workspace, listener: Listener, *, folder: str, prefix: str = "") -> dict[str, Any]:
    """Register every usable set of a LLaMA-Factory folder as its dataset_info.json says; tell why the others are not.

    A person who cancels the check of what was registered keeps it.
    """
    from core.data.folders import add_folder

    listener.phase("adding")
    added, problems = add_folder(Registry(workspace), Path(folder), prefix=prefix, progress=listener)
    with suppress(Cancelled, KeyboardInterrupt):
        for entry in added:
            checking.check(workspace, listener, name=entry.name, thorough=entry.rows <= THOROUGH_UP_TO)
    return {"datasets": [described(entry) for entry in added], "problems": [each.to_dict() for each in problems]}


def then_checked(remake: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return a task that has the doctor look at what it made. A person who cancels that keeps the set as it was made."""

    @wraps(remake)
    def done(workspace: Workspace, listener: Listener, **values: Any) -> dict[str, Any]:
        made = remake(workspace, listener, **values)
        rows = Registry(workspace).get(made["name"]).rows
        with suppress(Cancelled, KeyboardInterrupt):
            checking.check(workspace, listener, name=made["name"], thorough=rows <= THOROUGH_UP_TO)
        return made

    return done


def splits_itself(registry: Registry, entry: DatasetEntry) -> bool:
    """Tell whether a set is split when it is added: from 200 rows on, unless it is a test set or has one beside it."""
    names = registry.names()
    alone = not entry.name.endswith("_test") and f"{entry.name}_test" not in names
    return alone and entry.rows >= SPLIT_FROM and not entry.versions


def described(entry: DatasetEntry) -> dict[str, Any]:
    """Return what the command line and a job's result say of an entry."""
    parts = entry.parts
    return {
        "name": entry.name,
        "file": str(entry.file),
        "sha1": entry.sha1,
        "formatting": entry.formatting,
        "recognised": entry.recognised,
        "kind": entry.kind,
        "rows": entry.rows,
        "split": {"train": parts.train, "validation": parts.validation, "test": parts.test} if parts else None,
        "versions": len(entry.versions) + 1,
    }


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "add": add,
    "folder": folder,
    "check": checking.check,
    "fix": then_checked(remaking.fix),
    "split": then_checked(remaking.split),
    "augment": then_checked(remaking.augment),
    "export": remaking.export,
}
