"""Check what an evaluation needs and write its job directory. No torch: the page does this before it starts the worker."""

import time
from pathlib import Path
from typing import Any

from core.data.formats import conversations
from core.data.pinned import pinned
from core.data.registry import DatasetEntry, Registry
from core.errors import DataError, Problem, RunError, SettingsError, StudioError, problem
from core.models.trained import trained
from core.prompts.store import SystemPrompt
from core.records import Conversation
from core.runs.directory import Run, create
from core.workspace import Workspace, slug

LONGEST_ANSWER = 8192  # tokens; chosen by us: longer answers are not compared word by word


def prepare(
    workspace: Workspace,
    run: Run,
    datasets: list[str] | None = None,
    *,
    prompt: SystemPrompt | None = None,
    max_new_tokens: int = 64,
    limit: int | None = None,
) -> Path:
    """Return a new job directory, ready for `supervisor.launch(job, "core.evaluate.worker")`.

    Args:
        datasets: names of test sets; None takes those that the run was trained with.
        prompt: the system prompt to ask under; None takes the one that was trained.
        limit: ask only so many questions of each set, spread evenly over it.

    Raises:
        StudioError: if the run has no adapter, a set is unknown or changed, or the base model is gone.
    """
    _check_numbers(max_new_tokens, limit)
    names = list(dict.fromkeys(run.settings.data.test if datasets is None else datasets))
    if not names:
        raise RunError(problem("evaluate.no_datasets", run.name))
    model = trained(workspace, run)
    data = _verified(Registry(workspace), names)
    return create(
        run.path / "evaluations",
        slug("_".join(names)),
        {
            "kind": "evaluate",
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "workspace": str(workspace.root),
            "allow": [str(each) for each in workspace.allow],
            "run": run.name,
            "adapter": str(model.tuned.relative_to(run.path)),
            "data": data,
            "prompt": _prompt(run, prompt),
            "max_new_tokens": max_new_tokens,
            "limit": limit,
        },
    )


def rows_asked(entry: DatasetEntry) -> list[Conversation]:
    """Return the rows that a set asks: those of its test part, or all of a set that has none.

    Raises:
        DataError: if a row cannot be read.
    """
    if entry.parts is not None and entry.parts.test:
        return conversations(entry, part="test")
    return conversations(entry)


def _verified(registry: Registry, names: list[str]) -> list[dict[str, Any]]:
    """Return name, file and SHA-1 of each set, or raise the problems of all of them at once."""
    problems: list[Problem] = []
    for name in names:
        try:
            registry.verify(name)
        except StudioError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    return [pinned(registry.get(name)) for name in names]


def _prompt(run: Run, prompt: SystemPrompt | None) -> dict[str, Any]:
    learnt = run.config["prompt"]
    if prompt is None:
        return {**learnt, "same_as_trained": True}
    values = {"name": prompt.name, "version": prompt.version, "text": prompt.text, "sha256": prompt.sha256}
    return {**values, "same_as_trained": (prompt.text or "") == (learnt["text"] or "")}


def _check_numbers(max_new_tokens: int, limit: int | None) -> None:
    problems = []
    if not 1 <= max_new_tokens <= LONGEST_ANSWER:
        values = {"value": max_new_tokens, "range": f"1 … {LONGEST_ANSWER}"}
        problems.append(problem("settings.out_of_range", "max_new_tokens", **values))
    if limit is not None and limit < 1:
        problems.append(problem("settings.out_of_range", "limit", value=limit, range="1 …"))
    if problems:
        raise SettingsError(*problems)
