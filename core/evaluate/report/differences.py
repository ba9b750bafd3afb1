"""The numbers of each data set: a forest plot of the differences, and every metric of every contestant."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluate.changes import shown
from core.evaluate.contestants import BASE, TUNED
from core.evaluate.in_words import called, figure, outcome, signed
from core.evaluate.metrics import METRICS
from core.evaluate.report.pictures import Axis, axis, interval
from core.evaluate.report.pieces import part, table
from core.wording import Translator, has

MOST_IN_PLOT = 40  # rows of one plot; chosen by us: 64 contestants times ten metrics are a wall and no picture


def forest(score: Mapping[str, Any], dataset: str, t: Translator) -> str:
    """Return how each contestant differs from the base: the tuned one in every metric, the others in the main one."""
    values = score["datasets"][dataset]
    main = values.get("main", "right")
    against: Mapping[str, Any] = values.get("against", {})
    found = [(who, metric, told) for who in against for metric, told in against[who].get(BASE, {}).items()
             if (who == TUNED or metric == main) and _drawn(metric, told, main)]  # fmt: skip
    found = sorted(found, key=lambda each: each[1] != main)[:MOST_IN_PLOT]
    if not found:
        return ""
    ends = [end for *_, told in found for end in (told["difference"], told["low"], told["high"]) if end is not None]
    scale = axis(ends)
    several = len(against) > 1
    rows = [_forest_row(called(who, t) if several else "", metric, told, scale, t) for who, metric, told in found]
    ticks = "".join(_tick(value, scale) for value in dict.fromkeys((scale.low, 0.0, scale.high)))
    picture = f'<div class="scale" aria-hidden="true">{ticks}</div>'
    headers = ["", picture, shown(t("report.difference")), shown(t("report.counts"))]
    return table(headers, rows, t("report.forest", dataset=dataset), kind="forest", numbers=(2,))


def values(score: Mapping[str, Any], dataset: str, t: Translator) -> str:
    """Return every metric of every contestant with its interval, by group of metrics."""
    told = score["datasets"][dataset]
    who = contestants(score)
    made = []
    for group in dict.fromkeys(metric.group for metric in METRICS.values()):
        names = [name for name, metric in METRICS.items() if metric.group == group and _known(told, who, name)]
        rows = [[_explained(name, t), *(_value(told, each, name) for each in who)] for name in names]
        if group == "task" and any((told.get("perplexity") or {}).values()):
            rows.append([shown(t("metric.perplexity")), *(_plain(told["perplexity"].get(each)) for each in who)])
        if group == "task" and told.get("by_turn"):
            rows.append([shown(t("metric.by_turn")), *(_turns(told["by_turn"][each]) for each in who)])
        headers = ["", *(shown(called(each, t)) for each in who)]
        made_of = table(headers, rows, t("report.values", dataset=dataset), numbers=range(1, len(headers)))
        made.append(part(t(f"metric_group.{group}"), made_of, level=4))
    return "".join(made)


def contestants(score: Mapping[str, Any]) -> list[str]:
    """Return who answered, the base first."""
    return [each["id"] for each in score["who"]] if "who" in score else [BASE, TUNED]


def metric_name(name: str, t: Translator) -> str:
    return t(f"metric.{name}") if has(f"metric.{name}") else name


def _explained(name: str, t: Translator) -> str:
    """Return a metric's name, which says what it tells to whoever rests on it."""
    return f'<abbr title="{shown(t(f"metric_help.{name}"))}">{shown(metric_name(name, t))}</abbr>'


def _turns(told: Mapping[str, Any]) -> str:
    return f"{figure(told['first']['right'])} / {figure(told['later']['right'])}"


def _drawn(metric: str, told: Mapping[str, Any], main: str) -> bool:
    """Tell whether a comparison has its place in a plot of points; what is alike in every row tells nothing there."""
    known = metric in METRICS and METRICS[metric].unit == "%" and told["difference"] is not None
    return known and (metric == main or told["ties"] < told["n"])


def _forest_row(who: str, metric: str, told: Mapping[str, Any], scale: Axis, t: Translator) -> Sequence[str]:
    result = outcome(told, METRICS[metric].higher_is_better is not False)
    picture = interval(told["difference"], told["low"], told["high"], result, scale)
    unsure = told["low"] is None or told["high"] is None
    ends = "–" if unsure else f"{signed(told['low'])} … {signed(told['high'])}"
    label = t("report.metric_of", who=who, metric=metric_name(metric, t)) if who else metric_name(metric, t)
    counts = t("report.counted", wins=f"{told['wins']:,}", losses=f"{told['losses']:,}", ties=f"{told['ties']:,}")
    number = f'<b class="{result}">{signed(told["difference"])}</b> <span class="soft">{ends}</span>'
    return [shown(label), picture, number, shown(counts)]


def _tick(value: float, scale: Axis) -> str:
    place = f"{scale.place(value, 100):.1f}%"
    return (
        f'<span style="left:{place};transform:translateX(-{place})">{signed(value)}</span>'  # stays inside at both ends
    )


def _known(told: Mapping[str, Any], who: Sequence[str], name: str) -> bool:
    return any(told.get(each, {}).get(name) is not None for each in who)


def _value(told: Mapping[str, Any], who: str, name: str) -> str:
    value = told.get(who, {}).get(name)
    if value is None:
        return "–"
    if METRICS[name].unit != "%":
        return _plain(value)
    low, high = (told.get("intervals", {}).get(who, {}).get(name) or [None, None])[:2]
    ends = f' <span class="soft">{figure(low)} … {figure(high)}</span>' if low is not None and high is not None else ""
    return figure(value) + ends


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
