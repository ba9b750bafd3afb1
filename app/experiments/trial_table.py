"""The trials of a sweep as a table: what each tried, what came of it, and the run that it was."""

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from app.notices import warnings
from app.parts import pick, table
from app.studio import Studio
from core.errors import Problem
from core.evaluate.report.pictures import bar
from core.experiments import in_words
from core.wording import Translator

_DATED = re.compile(r"^\d{4}-\d\d-\d\d_\d{6}_")


def trial_table(studio: Studio, result: Mapping[str, Any], t: Translator) -> str:
    """Return the trials of a report, or of one that is not written yet, the best marked; why trials failed stands below."""
    heading, *rows = in_words.trial_rows(result, t)
    score = heading.index(t("experiment.score"))
    cells = []
    for trial, row in zip(result["trials"], rows, strict=True):
        shown = [escape(cell) for cell in row]
        if trial["number"] == result["best"]:
            shown = [f"<b>{cell}</b>" for cell in shown[:-1]] + [f'<b class="best">{shown[-1]}</b>']
        if trial["value"] is not None:
            shown[score] += bar(trial["value"], "tuned")
        cells.append([*shown, run_of(studio, trial["run"])])
    made = table([*heading, t("experiments.runs")], cells, caption=t("experiments.trials"), numbers=range(1, score - 1))
    failed = [Problem(**each) for trial in result["trials"] for each in trial["problems"]]
    return made + warnings(list({each.to_dict()["code"]: each for each in failed}.values()), t("language.code"))


def run_of(studio: Studio, name: str) -> str:
    """Return the button that shows a run, its name alone where the run was deleted, "" where none was made."""
    return run_button(name) if name and (studio.workspace.runs / name).is_dir() else escape(name)


def run_button(name: str) -> str:
    """Return the button, without the date with which the name begins."""
    return pick(f"run {name}", text=_DATED.sub("", name))
