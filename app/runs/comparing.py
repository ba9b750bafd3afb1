"""Runs side by side: their curves over each other, what came out, and only what differs in how they were made."""

from collections.abc import Sequence
from html import escape
from typing import Any

from app import charts
from app.controls import rows, to_lines
from app.parts import pill, table
from app.studio import Studio
from core.duration import spoken
from core.runs.compare import Difference, differences
from core.runs.summary import Summary
from core.wording import Translator, has

COLOURS = 8  # of the style sheet; further runs have the same ones dashed
_LONGEST = 200  # characters of a value in the table


def comparison(studio: Studio, runs: Sequence[Summary], t: Translator) -> str:
    """Return the comparison as HTML."""
    found = differences([studio.run(run.name) for run in runs])
    headers = ["", *(run.name for run in runs)]
    made = table(headers, [_row(each, t) for each in found], caption=t("compare.differences"))
    came = table(headers, _results(runs, t), caption=t("compare.results"))
    same = f'<p class="note">{escape(t("compare.same"))}</p>'
    return (
        f"{_curves(studio, runs, t)}<h4>{escape(t('compare.results'))}</h4>{came}"
        f"<h4>{escape(t('compare.differences'))}</h4>{made if found else same}"
    )


def kind_of(number: int) -> str:
    """Return the classes of the so manieth curve: a colour, and a dash for those that come after all colours."""
    return f"curve-{number % COLOURS}" + f" dashed-{number // COLOURS}" * (number >= COLOURS)


def _curves(studio: Studio, runs: Sequence[Summary], t: Translator) -> str:
    pictures: dict[str, list[charts.Series]] = {"train": [], "validation": []}
    for number, run in enumerate(runs):
        for series in charts.loss_series(studio.story(studio.workspace.runs / run.name).curves, t):
            if series.kind in pictures:
                pictures[series.kind].append(charts.Series(run.name, kind_of(number), series.points, series.dots))
    last = max((run.total_steps for run in runs), default=1)
    return "".join(
        f'<div class="overlay">{charts.chart(series, t(f"compare.{name}"), last, t)}</div>'
        for name, series in pictures.items()
        if series
    )


def _results(runs: Sequence[Summary], t: Translator) -> list[list[str]]:
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.4g}"

    found = [
        [escape(t("runs.status")), *(pill(run.status, t) for run in runs)],
        [escape(t("runs.steps")), *(f"{run.step:,} / {run.total_steps:,}" for run in runs)],
        [escape(t("runs.loss")), *_best_marked([run.loss for run in runs], number)],
        [escape(t("compare.best")), *_best_marked([run.best for run in runs], number)],
        [escape(t("compare.time")), *(escape(spoken(run.seconds, t)) if run.seconds else "–" for run in runs)],
    ]
    for name in dict.fromkeys(name for run in runs for name, *_ in run.scores):
        scores = [{each[0]: each for each in run.scores}.get(name) for run in runs]
        best = max((each[2] for each in scores if each), default=None)
        cells = [
            "–"
            if each is None
            else f"{each[1]:.0f} → {_strong(f'{each[2]:.0f}', each[2] == best)} % {_examples(each[3], t)}"
            for each in scores
        ]
        found.append([escape(t("compare.right", name=name)), *cells])
    return found


def _examples(n: int, t: Translator) -> str:
    """Return on how many examples a score stands: 80 % of four is not 80 % of a thousand."""
    return f'<span class="small">{escape(t("compare.examples", n=f"{n:,}"))}</span>' if n else ""


def _best_marked(values: Sequence[float | None], shown: Any) -> list[str]:
    """Return the values as text, the lowest one strong."""
    lowest = min((each for each in values if each is not None), default=None)
    return [_strong(shown(each), each is not None and each == lowest) for each in values]


def _strong(text: str, strong: bool) -> str:
    return f"<b>{escape(text)}</b>" if strong else escape(text)


def _row(found: Difference, t: Translator) -> list[str]:
    return [escape(_label(found.path, t)), *(escape(_value(found.path, each, t)) for each in found.values)]


def _label(path: str, t: Translator) -> str:
    if has(key := f"setting.{path}.label"):
        return t(key)
    group, _, name = path.partition(".")
    if path.startswith("data.split."):
        return t("compare.split", name=path.removeprefix("data.split."))
    if path.startswith("data.sha1."):
        return t("compare.content", name=path.removeprefix("data.sha1."))
    if has(key := f"compare.{path}"):
        return t(key)
    return t("compare.version", name=name) if group == "versions" else path


def _value(path: str, value: Any, t: Translator) -> str:
    row = rows().get(path)
    if value is None:
        return t("setting.found_by_the_studio") if row and row.optional and path != "prompt.version" else "–"
    if isinstance(value, bool):
        return t("compare.yes" if value else "compare.no")
    if isinstance(value, dict):
        return to_lines(value) or "–"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    if row and row.kind == "choice" and has(key := f"setting.{path}.choice.{value}"):
        return t(key)
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
