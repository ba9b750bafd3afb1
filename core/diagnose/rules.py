"""All rules in one table, and what they say about a run that was evaluated.

A rule looks at the evidence and returns one finding or None. It fires only where something that was asked went wrong, or
cannot be told, and its numbers show that; a healthy run hears nothing. To add one, write the function, put it into the table
where its cause belongs (what explains most comes first), and its three sentences into the locale files.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.diagnose import answering, checking, forgetting, learning, mixing, prompting
from core.diagnose.evidence import Evidence
from core.diagnose.finding import SEVERITIES, Finding
from core.evaluate import rows as read_rows
from core.evaluate.rows import Row
from core.runs.directory import Run
from core.workspace import Workspace

Rule = Callable[[Evidence], Finding | None]
ASKED_OTHERWISE: tuple[Rule, ...] = (prompting.other_template, prompting.other_prompt)  # then answers tell nothing else
RULES: tuple[Rule, ...] = (
    learning.diverged,
    learning.few_steps,
    mixing.identity_seldom,
    mixing.sets_contradict,
    checking.contradictions,
    checking.other_identity,
    checking.leaked,
    forgetting.forgot,
    learning.overfit,
    learning.better_checkpoint,
    prompting.one_prompt_only,
    answering.style_not_facts,
    answering.cut_off,
    answering.never_stops,
    answering.loops,
    answering.hot,
    answering.too_few_to_tell,
)


def diagnose(
    workspace: Workspace, run: Run, score: Mapping[str, Any], rows: Sequence[Row] | None = None
) -> list[Finding]:
    """Return what went wrong in a run, by one of its scores, most important first.

    Args:
        rows: those of the evaluation, for whoever has them at hand; else they are read.
    """
    if rows is None:
        rows = read_rows.rows(run.path / "evaluations" / score["job"])
    seen = Evidence(workspace, run, score, rows)
    found = _fired(ASKED_OTHERWISE, seen) or _fired(RULES, seen)
    return sorted(found, key=lambda each: SEVERITIES.index(each.severity))


def _fired(rules: Sequence[Rule], seen: Evidence) -> list[Finding]:
    return [finding for rule in rules if (finding := rule(seen)) is not None]
