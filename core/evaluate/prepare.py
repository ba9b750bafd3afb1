"""Check what an evaluation needs and write its job directory. No torch: the page does this before it starts the worker."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.data.pinned import pinned
from core.data.registry import Registry
from core.errors import DataError, Problem, RunError, SettingsError, StudioError, problem
from core.evaluate.contestants import Other, contestants, same_as_trained
from core.evaluate.metrics.check import Check, validate
from core.evaluate.options import ENDPOINT, Options
from core.models.folder import find_model
from core.prompts.store import SystemPrompt
from core.runs.directory import Run, create
from core.workspace import Workspace, slug

AUTO = "auto"


def prepare(
    workspace: Workspace,
    run: Run,
    datasets: list[str] | None = None,
    *,
    prompt: SystemPrompt | None = None,
    options: Options | None = None,
    others: Sequence[Other] = (),
) -> Path:
    """Return a new job directory, ready for `supervisor.launch(job, "core.evaluate.worker")`.

    Args:
        datasets: names of test sets; None takes those that the run was trained with, [] asks the probes alone.
        prompt: the system prompt to ask under; None asks everybody under the one they were trained with.
        others: who answers besides the base and this run.

    Raises:
        StudioError: if a run has no adapter, one of the others has another base, a set is unknown or changed, the base model
            is gone, or a check cannot be used.
    """
    options = options or Options()
    names = list(dict.fromkeys(run.settings.data.test if datasets is None else datasets))
    if not names and not options.probes:
        raise RunError(problem("evaluate.no_datasets", run.name))
    values = (
        {"name": prompt.name, "version": prompt.version, "text": prompt.text, "sha256": prompt.sha256}
        if prompt
        else None
    )
    strangers = [name for name in options.checks if name not in names]
    if strangers:
        known = ", ".join(names) or "-"
        raise SettingsError(problem("evaluate.check_of_none", "checks", name=", ".join(strangers), known=known))
    for text in options.checks.values():
        check_of(text)
    if options.judge not in ("", ENDPOINT):
        find_model(workspace, options.judge)
    asked = contestants(workspace, run, others, values)
    data = _verified(Registry(workspace), names)
    first = asked[0]
    return create(
        run.path / "evaluations",
        slug("_".join(names) or "probes"),
        {
            "kind": "evaluate",
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "workspace": str(workspace.root),
            "allow": [str(each) for each in workspace.allow],
            "run": run.name,
            "adapter": first.saved,
            "contestants": [asdict(each) for each in asked],
            "data": data,
            "prompt": {**first.prompt, "same_as_trained": all(same_as_trained(workspace, each) for each in asked)},
            "options": options.model_dump(mode="json"),
        },
    )


def check_of(text: str) -> Check | None:
    """Return the check that a text such as `regex:^\\d+$` names, None for the one that the data asks for.

    Raises:
        SettingsError: if there is no such kind, or its pattern cannot be used.
    """
    if text in ("", AUTO):
        return None
    kind, _, pattern = text.partition(":")
    check = Check(kind, pattern)  # type: ignore[arg-type]  # validate looks at the kind
    validate(check)
    return check


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
