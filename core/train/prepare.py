"""Check everything a run needs and write its directory. No torch: the page does this before it starts the worker."""

import contextlib
import time
from typing import Any

from core.data.pinned import pinned
from core.data.registry import Registry
from core.errors import ModelError, Problem, StudioError
from core.models import folder as models
from core.models.cache import revision_of
from core.models.hub import look_up
from core.progress import Progress, silent
from core.prompts.store import PromptStore
from core.runs.directory import Run, create
from core.settings import RunSettings
from core.train import going_on
from core.train.conflicts import conflicts, model_facts
from core.train.gate import admit
from core.train.machine import machine
from core.train.plan import Plan, plan
from core.train.versions import versions
from core.workspace import Workspace, checked_name, require_space, slug


def prepare(workspace: Workspace, settings: RunSettings, progress: Progress = silent) -> Run:
    """Return a new run, ready to be started with `supervisor.launch(run.path, "core.train.worker")`.

    Args:
        progress: told how much of the data is tokenised, where it was not before.

    Raises:
        StudioError: with every problem of the data, the prompt and the model, or with the warnings about the data that
            nobody has accepted, or because the hub does not have the model; then no directory was made.
    """
    expected = checked_plan(workspace, settings, progress)
    findings = admit(workspace, settings)
    adapter = expected.adapter_bytes if expected else 0
    # A checkpoint holds the optimizer's state, too: two numbers for each weight that is trained.
    saved = adapter * (3 * (settings.checkpoint.keep + 2) + 1) + going_on.size(workspace, settings)
    require_space(workspace.runs, saved + 20_000_000, "the run")
    name = settings.name or f"{slug(settings.model.path.rstrip('/').rpartition('/')[2])}_{settings.method.name}"
    planned = {"plan": expected.summary()} if expected else {}
    config = job_config(workspace, settings, "train") | planned | {"findings": findings}
    if settings.model.adapter:
        return Run(
            create(workspace.runs, name, config, lambda run: {"continued": going_on.bring(workspace, settings, run)})
        )
    return Run(create(workspace.runs, name, config))


def checked_plan(workspace: Workspace, settings: RunSettings, progress: Progress = silent) -> Plan | None:
    """Check all that a run needs and return its plan; None when the model is still to be downloaded.

    Args:
        progress: told how much of the data is tokenised, where it was not before.

    Raises:
        StudioError: with every problem of the data, the prompt and the model, and of settings that contradict each other.
    """
    registry = Registry(workspace)
    problems: list[Problem] = []
    for name in dict.fromkeys((*settings.data.train, *settings.data.test)):
        try:
            registry.verify(name)
        except StudioError as error:
            problems += error.problems
    for look in (
        lambda: models.find_model(workspace, settings.model.path),
        lambda: PromptStore(workspace).get(settings.prompt.name, settings.prompt.version, settings.prompt.blanks),
        lambda: settings.name and checked_name(settings.name),
    ):
        try:
            look()
        except StudioError as error:
            if error.problems[0].code != "model.not_cached":  # the worker downloads it
                problems += error.problems
    if problems:
        raise StudioError(*problems, *_conflicts(workspace, settings))
    try:
        planned = plan(workspace, settings, progress)
    except StudioError as error:
        conflicting = _conflicts(workspace, settings)
        if conflicting or error.problems[0].code != "model.not_cached":
            cached = [each for each in error.problems if each.code != "model.not_cached"]
            raise type(error)(*cached, *conflicting) from error
        return None
    if planned.problems:
        raise StudioError(*planned.problems)
    return planned


def _conflicts(workspace: Workspace, settings: RunSettings) -> list[Problem]:
    """Return what contradicts the machine, and the model where it can be looked at."""
    facts = None
    with contextlib.suppress(StudioError):
        facts = model_facts(models.find_model(workspace, settings.model.path))
    return conflicts(settings, facts, machine())


def job_config(workspace: Workspace, settings: RunSettings, kind: str) -> dict[str, Any]:
    """Return what a worker must know to load a run's model and data, and to tell whether they are still the same."""
    registry = Registry(workspace)
    prompt = PromptStore(workspace).get(settings.prompt.name, settings.prompt.version, settings.prompt.blanks)
    base: dict[str, str | None] = {"path": settings.model.path, "folder": None, "fingerprint": None}
    try:
        model = models.find_model(workspace, settings.model.path)
        base |= {"folder": str(model), "fingerprint": models.fingerprint(model), "revision": revision_of(model)}
    except ModelError as error:
        if error.problems[0].code != "model.not_cached":
            raise
        base["revision"] = look_up(settings.model.path).revision  # the worker downloads this commit
    entries = [registry.get(each) for each in dict.fromkeys((*settings.data.train, *settings.data.test))]
    return {
        "kind": kind,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "workspace": str(workspace.root),
        "allow": [str(each) for each in workspace.allow],
        "settings": settings.model_dump(mode="json"),
        "data": [pinned(each) for each in entries],
        "model": base,
        "prompt": {"name": prompt.name, "version": prompt.version, "text": prompt.text, "sha256": prompt.sha256},
        "versions": versions(),
    }
