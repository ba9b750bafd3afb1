"""What the doctor says stands between a person and the start: errors stop it, warnings want to be accepted once.

What the doctor found is kept, so that a set is read for it once for each state of its file. Of large sets only the structure
is looked at here; that nobody looked at their texts is itself a warning.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.data.registry import DatasetEntry, Registry
from core.doctor.examine import cached, report
from core.doctor.report import THOROUGH_UP_TO, Finding, Report, found, in_order
from core.doctor.tokens import TokenCounts
from core.errors import DataError, ModelError, problem
from core.models import folder as models
from core.progress import Progress, silent
from core.prompts.store import PromptStore
from core.settings import RunSettings
from core.train.examples import longest_example, tokenised_sets
from core.train.rows import training_rows
from core.workspace import Workspace

ADVICE = frozenset({"few_rows", "few_test_rows"})  # warnings that the plan gives in its own words: few steps, few rows


@dataclass(frozen=True)
class Checked:
    """A training set with what was found in it. `accepted` is what a person accepted for this content."""

    name: str
    report: Report
    accepted: frozenset[str]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return self.report.errors

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The warnings that somebody has to accept."""
        return tuple(each for each in self.report.warnings if each.code not in ADVICE)

    @property
    def open(self) -> tuple[Finding, ...]:
        """The warnings that nobody has accepted yet."""
        return tuple(each for each in self.warnings if not each.is_accepted(self.accepted))


def look(workspace: Workspace, settings: RunSettings, progress: Progress = silent) -> list[Checked]:
    """Examine the training sets of a run, each against the sets that will test it, and return what was found.

    Args:
        progress: told how much of a set is tokenised, where the plan has not done so before.

    Raises:
        DataError: if a set is unknown, its file is gone, or its rows cannot be rendered.
        SettingsError: if there is no such prompt.
        ModelError: if the model's tokenizer or template cannot be used.
    """
    registry = Registry(workspace)
    training = [registry.get(name) for name in settings.data.train]
    testing = [registry.get(name) for name in settings.data.test]
    checked = []
    for entry in training:
        examined = _examined(workspace, entry, _tests_of(entry, training, testing))
        if not examined.errors:  # what cannot be learnt from has no tokens
            examined = _with(examined, _of_tokens(workspace, entry, settings, progress))
        checked.append(Checked(entry.name, examined, entry.accepted))
    return checked


def _examined(workspace: Workspace, entry: DatasetEntry, against: Sequence[DatasetEntry]) -> Report:
    """Examine a set, a large one only quickly: of its texts is told what somebody asked for before."""
    if 0 < entry.rows <= THOROUGH_UP_TO:
        return report(workspace, entry, against=against)
    quick = report(workspace, entry, against=against, thorough=False)
    if quick.rows <= THOROUGH_UP_TO:
        return report(workspace, entry, against=against)
    known = cached(workspace, entry, against=against) or quick
    if known.thorough:
        return known
    tests = "".join(f" --against {each.name}" for each in against)
    return _with(known, [found("not_checked", known.rows, rows=f"{known.rows:,}", tests=tests)])


def _of_tokens(workspace: Workspace, entry: DatasetEntry, settings: RunSettings, progress: Progress) -> list[Finding]:
    """Return what the run's model, system prompt and cutoff mean for the rows; their tokens are those of the plan."""
    try:
        model = models.find_model(workspace, settings.model.path)
    except ModelError as error:
        if error.problems[0].code != "model.not_cached":
            raise
        return []  # the worker downloads it, and nobody can count its tokens before
    prompt = PromptStore(workspace).get(settings.prompt.name, settings.prompt.version, settings.prompt.blanks)
    (tokens,) = tokenised_sets(workspace, settings, [entry], model, prompt.text, progress)
    rows, _ = training_rows(entry, tokens)
    counts = TokenCounts(entry, tokens, rows, longest_example(settings, model))
    return [*counts.findings(len(rows)), *counts.control_tokens(len(rows))]


def _with(examined: Report, more: Iterable[Finding]) -> Report:
    """Add findings to a report; what it has of the same kind they tell more exactly."""
    every = {each.code: each for each in (*examined.findings, *more)}
    return replace(examined, findings=in_order([*every.values()]))


def admit(workspace: Workspace, settings: RunSettings) -> dict[str, dict[str, Any]]:
    """Return what the run writes down about the check of its data: set -> the warnings that were accepted.

    With `data.accept_warnings` open warnings are accepted now, and that is recorded with the data set as well.

    Raises:
        DataError: with the errors of the data, or with the warnings that nobody has accepted.
    """
    checked = look(workspace, settings)
    errors = [finding.problem(each.name) for each in checked for finding in each.errors]
    if errors:
        raise DataError(*errors)
    if settings.data.accept_warnings:
        accept(workspace, checked)
    else:
        _require_accepted(checked)
    return {each.name: {"accepted": sorted(warning.accepting for warning in each.warnings)} for each in checked}


def accept(workspace: Workspace, checked: Sequence[Checked]) -> None:
    """Record for each set that its open warnings are known."""
    registry = Registry(workspace)
    for each in checked:
        if each.open:
            registry.accept_findings(each.name, [finding.accepting for finding in each.open])


def _require_accepted(checked: Sequence[Checked]) -> None:
    waiting = [each for each in checked if each.open]
    if not waiting:
        return
    names = ", ".join(each.name for each in waiting)
    count = sum(len(each.open) for each in waiting)
    commands = "`, `".join(
        f"studio data accept {each.name} {' '.join(warning.accepting for warning in each.open)}" for each in waiting
    )
    warnings = [warning.problem(each.name) for each in waiting for warning in each.open]
    raise DataError(problem("gate.not_accepted", "", names=names, commands=commands, count=count), *warnings)


def _tests_of(
    entry: DatasetEntry, training: Sequence[DatasetEntry], testing: Sequence[DatasetEntry]
) -> list[DatasetEntry]:
    """Return the sets whose test rows `entry` must not hold.

    A set that is itself trained counts only for its test part; one that is trained whole is told of by the plan. Its own
    test part is always looked at.
    """
    trained = {each.name for each in training}
    return [
        each
        for each in testing
        if each.name != entry.name and (each.name not in trained or (each.parts is not None and each.parts.test))
    ]
