"""Parts of a data set: by task or ability, and by expected and said label."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluate.changes import shown
from core.evaluate.contestants import BASE, TUNED
from core.evaluate.in_words import ability, called, figure
from core.evaluate.report.pictures import bar
from core.evaluate.report.pieces import paragraph, table
from core.wording import Translator


def by_tag(told: Mapping[str, Any], metric: str, caption: str, t: Translator) -> str:
    """Return base and tuned in each task or ability, as two bars. `told` is tag -> {"n", contestant: {metric: value}}."""
    rows = []
    for tag, values in told.items():
        both = {who: values.get(who, {}).get(metric) for who in (BASE, TUNED)}
        rows.append([shown(ability(tag, t) or t("report.no_tag")), f"{values['n']:,}", *_bars(both)])
    headers = ["", shown(t("report.questions")), "", shown(called(BASE, t)), shown(called(TUNED, t))]
    return table(headers, rows, caption, numbers=(1, 3, 4), kind="bars")


def confusion(told: Mapping[str, Any], who: str, t: Translator) -> str:
    """Return how often each expected label (rows) was answered with each label (columns); a darker cell is a larger share."""
    labels: Sequence[str] = told["labels"]
    counts: Sequence[Sequence[int]] = told["counts"]
    said = [_label(label, t) for label in labels]
    width = max((len(row) for row in counts), default=0)
    columns = [*said, t("report.no_label")][:width]
    rows = []
    for place, (label, row) in enumerate(zip(said, counts, strict=False)):
        total = max(1, sum(row))
        cells = [
            f'<span class="cell {"right" if column == place else "wrong"}" style="--share:{100 * count / total:.0f}%">'
            f"{count:,}</span>" if count else '<span class="soft">·</span>'
            for column, count in enumerate(row)
        ]  # fmt: skip
        rows.append([shown(label), *cells])
    caption = t("report.confusion", who=called(who, t))
    made = table(["", *map(shown, columns)], rows, caption, numbers=range(1, width + 1), kind="confusion")
    return made + (paragraph(_classified(told, t), "soft") if "macro_f1" in told else "")


def _classified(told: Mapping[str, Any], t: Translator) -> str:
    """Return accuracy and macro F1 with their intervals, as a sentence."""
    blanks: dict[str, str] = {}
    for name in ("accuracy", "macro_f1"):
        value, low, high = told[name]
        between = "" if low is None or high is None else f" (95 %: {figure(low)} … {figure(high)})"
        blanks |= {name: figure(value), f"{name}_between": between}
    return t("report.classified", **blanks)


def _label(label: str, t: Translator) -> str:
    return label or t("report.no_label")


def _bars(both: Mapping[str, float | None]) -> list[str]:
    pictures = "".join(bar(value or 0.0, who) for who, value in both.items())
    return [pictures, *("–" if value is None else f"{figure(value)} %" for value in both.values())]
