"""Have the doctor look at a set, or at a file that is not registered yet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.data.registry import DatasetEntry, Registry
from core.models.folder import find_model
from core.progress import Listener
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.doctor.report import Report


def check(workspace: Workspace, listener: Listener, **asked: Any) -> dict[str, Any]:
    """Examine a registered set (`name`) or a `file`, as `examined` does, and return the summary of the report."""
    return summary(*examined(workspace, listener, **asked))


def examined(
    workspace: Workspace,
    listener: Listener,
    *,
    name: str | None = None,
    file: str | None = None,
    formatting: str | None = None,
    options: Mapping[str, str] | None = None,
    model: str | None = None,
    system_prompt: str | None = None,
    cutoff_len: int | None = None,
    against: Sequence[str] | None = None,
    thorough: bool = True,
) -> "tuple[DatasetEntry, Report]":
    """Return the entry and the doctor's whole report on it, which lies in the cache from then on.

    Args:
        formatting, options: how a file that is not registered is read, where that is not clear from its rows.
        model: a model folder, for the checks that count tokens.
        against: names of the test sets that no row may stand in; None takes NAME_test where there is one.
        thorough: False looks at the structure only, which takes seconds for a million rows.
    """
    from core.doctor.examine import report

    listener.phase("checking_data")
    registry = Registry(workspace)
    entry = registry.get(name) if name else registry.candidate(Path(file or ""), None, formatting, options=options)
    found = report(
        workspace,
        entry,
        model=find_model(workspace, model) if model else None,
        system_prompt=system_prompt,
        cutoff_len=cutoff_len,
        against=[registry.get(each) for each in tests_of(registry, entry.name, against)],
        thorough=thorough,
        progress=listener,
    )
    return entry, found


def tests_of(registry: Registry, name: str, against: Sequence[str] | None) -> list[str]:
    """Return the names of the test sets that a set is compared with: those given, else NAME_test where there is one."""
    if against is not None:
        return list(against)
    entry = registry.entries().get(f"{name}_test")
    return [entry.name] if entry is not None and entry.problem is None and entry.file.is_file() else []


def summary(entry: DatasetEntry, report: "Report") -> dict[str, Any]:
    """Return what fits into an event: the findings with their counts, and which warnings nobody accepted yet."""
    return {
        "name": entry.name,
        "rows": report.rows,
        "score": report.score,
        "level": report.level,
        "errors": [each.code for each in report.errors],
        "warnings": [each.code for each in report.open_warnings(entry.accepted)],
        "findings": {each.code: each.count for each in report.findings},
    }
