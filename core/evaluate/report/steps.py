"""How it came about: what the checkpoints of the run are right on, step by step, where an evaluation asked them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from core.evaluate.changes import shown
from core.evaluate.in_words import figure
from core.evaluate.report.pictures import Axis, Point, curve
from core.evaluate.report.pieces import table
from core.wording import Translator

_PERCENT = Axis(0.0, 100.0)


def task_points(score: Mapping[str, Any], dataset: str) -> list[Point]:
    """Return the main metric of a data set by step."""
    values = score["datasets"][dataset]
    metric = values.get("main", "right")
    ends = {who: values.get("intervals", {}).get(who, {}).get(metric) or (None, None) for who in _steps(score).values()}
    return [Point(step, values[who][metric], *ends[who]) for step, who in _steps(score).items()
            if values.get(who, {}).get(metric) is not None]  # fmt: skip


def probe_points(score: Mapping[str, Any], probe: Literal["identity", "kept"]) -> list[Point]:
    """Return the right answers for the identity, or the share of the base's abilities that was kept, by step."""
    told = score.get("probes", {}).get(probe, {}).get("who", {})
    found = [(step, told[who]) for step, who in _steps(score).items() if who in told]
    if probe == "identity":
        return [
            Point(step, 100 * each["right"] / each["n"])
            for step, each in found
            if each.get("right") is not None and each["n"]
        ]
    kept = [(step, each["kept"]) for step, each in found]
    return [Point(step, each["value"], each["low"], each["high"]) for step, each in kept if each["value"] is not None]


def curve_of(points: Sequence[Point], name: str, t: Translator) -> str:
    """Return the points as a picture and a table; "" for fewer than two."""
    if len(points) < 2:
        return ""
    ends = f"<span>{points[0].step:,}</span><span>{shown(t('who.step', n=f'{points[-1].step:,}'))}</span>"
    ticks = "".join(f"<span>{each} %</span>" for each in (100, 50, 0))
    picture = (
        f'<div class="plot"><div class="ticks" aria-hidden="true">{ticks}</div>{curve(points, _PERCENT)}</div>'
        f'<div class="steps" aria-hidden="true">{ends}</div>'
    )
    rows = [[shown(t("who.step", n=f"{each.step:,}")), _value(each)] for each in points]
    return picture + table(["", "%"], rows, t("report.by_step", name=name), numbers=(1,))


def _steps(score: Mapping[str, Any]) -> dict[int, str]:
    """Return the checkpoints of the run itself by their step, in order."""
    found = {each["step"]: each["id"] for each in score.get("who", ()) if each.get("step") is not None
             and each["id"].startswith("step-")}  # fmt: skip
    return dict(sorted(found.items()))


def _value(point: Point) -> str:
    ends = "" if point.low is None or point.high is None else f"{figure(point.low)} … {figure(point.high)}"
    return f'{figure(point.value)} <span class="soft">{ends}</span>'
