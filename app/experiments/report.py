"""What came out of a finished experiment: the sentence that counts, the figures behind it, what it cost."""

from collections.abc import Mapping
from html import escape
from typing import Any

from app.experiments.trial_table import run_of, trial_table
from app.studio import Studio
from core.duration import spoken
from core.evaluate.in_words import figure, outcome, signed
from core.evaluate.report.pictures import Axis, axis, interval
from core.evaluate.report.pieces import part, table
from core.experiments import in_words
from core.experiments.in_words import NOTHING
from core.wording import Translator


def shown(studio: Studio, result: Mapping[str, Any], t: Translator) -> str:
    """Return the report as HTML."""
    said, inside = _ab(studio, result, t) if result["kind"] == "ab" else _sweep(studio, result, t)
    return f'<div class="evaluation experiment">{said}{inside}</div>'


def _ab(studio: Studio, result: Mapping[str, Any], t: Translator) -> tuple[str, str]:
    lines = iter(in_words.told(result, t))
    said, parts = "", []
    for dataset in result["datasets"]:
        next(lines)  # its values, which the table has
        said += "".join(_headline(next(lines)) for _ in dataset["against"])
        parts.append(_values(dataset, t) + _differences(dataset, t))
    return said, "".join(parts) + _arms(studio, result, t) + _notes(lines)


def _sweep(studio: Studio, result: Mapping[str, Any], t: Translator) -> tuple[str, str]:
    tried, best, *others = in_words.told(result, t)
    return _headline(best), trial_table(studio, result, t) + _notes([tried, *others])


def _headline(text: str) -> str:
    return f'<p class="headline">{escape(text)}</p>'


def _notes(lines: Any) -> str:
    return "".join(f'<p class="note">{escape(each)}</p>' for each in lines)


def _values(dataset: Mapping[str, Any], t: Translator) -> str:
    """Return how each arm does on a test set, with its interval, and how the base does that was asked the same."""
    rows = []
    for label, value in dataset["value"].items():
        low, high = dataset["interval"][label]
        ends = "" if low is None or high is None else f' <span class="soft">{figure(low)} … {figure(high)}</span>'
        asked = dataset["names"][label]
        rows.append([escape(label), f"{_percent(value)}{ends}", _percent(dataset["base"][label]), escape(asked)])
    metric = t(f"metric.{dataset['metric']}")
    headers = [t("experiments.arm"), t("experiments.value", metric=metric), t("who.base"), t("experiments.asked")]
    caption = t("experiments.values", dataset=dataset["name"], n=f"{dataset['n']:,}")
    return part(caption, table(list(map(escape, headers)), rows, caption, numbers=(1, 2)), level=4)


def _differences(dataset: Mapping[str, Any], t: Translator) -> str:
    """Return a forest plot of the arms against the first one."""
    first, against = next(iter(dataset["value"])), dataset["against"]
    drawn = {label: told for label, told in against.items() if told["difference"] is not None}
    if not drawn:
        return ""
    known = [end for told in drawn.values() for end in (told["difference"], told["low"], told["high"])]
    scale = axis([end for end in known if end is not None])
    rows = [_difference(label, told, scale, t) for label, told in drawn.items()]
    headers = [t("experiments.arm"), t("experiments.less_or_more"), t("report.difference"), t("report.counts")]
    caption = t("experiments.differences", first=first)
    return part(caption, table(list(map(escape, headers)), rows, caption, numbers=(2,), kind="forest"), level=4)


def _difference(label: str, told: Mapping[str, Any], scale: Axis, t: Translator) -> list[str]:
    result = outcome(told)
    unsure = told["low"] is None or told["high"] is None
    ends = NOTHING if unsure else f"{signed(told['low'])} … {signed(told['high'])}"
    number = f'<b class="{result}">{signed(told["difference"])}</b> <span class="soft">{ends}</span>'
    counts = t("report.counted", **{each: f"{told[each]:,}" for each in ("wins", "losses", "ties")})
    picture = interval(told["difference"], told["low"], told["high"], result, scale)
    return [escape(label), picture, number, escape(counts)]


def _arms(studio: Studio, result: Mapping[str, Any], t: Translator) -> str:
    """Return what each arm was trained on, what it kept, and the runs that it was."""
    rows = []
    for arm in result["arms"]:
        rows.append(
            [escape(arm["label"]), _mean(arm["steps"]), _mean(arm["learnt_tokens"]), spoken(arm["seconds"], t),
             _percent(arm["kept"]), _percent(arm["identity"]),
             " ".join(run_of(studio, name) for name in arm["runs"])]
        )  # fmt: skip
    headers = [t("experiments.arm"), t("experiments.steps"), t("experiments.learnt"), t("outcome.seconds"),
               t("probe.kept"), t("probe.identity"), t("experiments.runs")]  # fmt: skip
    title = t("experiments.arms")
    return part(title, table(list(map(escape, headers)), rows, title, numbers=range(1, 6)), level=4)


def _mean(counts: list[int]) -> str:
    """Return the mean over the seeds, whose counts differ by a step or two."""
    return f"{round(sum(counts) / len(counts)):,}" if counts else NOTHING


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{figure(value)} %"
