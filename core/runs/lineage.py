"""Where a run comes from and what came of it: base model, the runs that went on from each other, merged models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.runs import events, process
from core.runs.directory import Run
from core.runs.summary import Summary
from core.workspace import Workspace

Kind = Literal["base", "run", "merged", "gone"]
_DEEPEST = 50  # runs in a row; a hand-made circle ends here


@dataclass(frozen=True)
class Node:
    """`name` is a run's name, or the folder of a model. A run that is named but not there is "gone"."""

    kind: Kind
    name: str
    status: str = ""
    children: tuple["Node", ...] = ()


def tree(workspace: Workspace, chosen: Summary, runs: Sequence[Summary]) -> Node:
    """Return the tree in which a run stands, from the base model that all of it began with."""
    by_name = {each.name: each for each in runs}
    first, above = chosen, {chosen.name}
    while first.continued in by_name and first.continued not in above:
        first = by_name[first.continued]
        above.add(first.name)
    root = _grown(workspace, first, runs, 0)
    if first.continued and first.continued not in by_name:
        root = Node("gone", first.continued, children=(root,))
    return Node("base", first.model, children=(root,))


def _grown(workspace: Workspace, run: Summary, runs: Sequence[Summary], depth: int) -> Node:
    if depth > _DEEPEST:
        return Node("run", run.name, run.status)
    continued = [_grown(workspace, each, runs, depth + 1) for each in reversed(runs) if each.continued == run.name]
    merged = [
        Node("merged", _shown(workspace, folder),
             children=tuple(_grown(workspace, each, runs, depth + 1) for each in reversed(runs)
                            if each.folder == folder and not each.continued))
        for folder in merged_models(Run(workspace.runs / run.name))
    ]  # fmt: skip
    return Node("run", run.name, run.status, (*continued, *merged))


def merged_models(run: Run) -> list[str]:
    """Return the folders of the models that a run was merged into, the oldest first."""
    ends = (process.last_event(job) for job in run.jobs("merges"))
    found = (str(end.result.get("folder", "")) for end in ends if isinstance(end, events.RunFinished))
    return list(dict.fromkeys(filter(None, found)))


def _shown(workspace: Workspace, folder: str) -> str:
    path = Path(folder)
    return str(path.relative_to(workspace.root)) if path.is_relative_to(workspace.root) else folder
