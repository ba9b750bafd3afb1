"""Curves of a run as inline SVG: at most 500 points a series, whatever the length of the run.

SVG made here and not a plotting component: it follows light and dark by itself, does not flicker when it is drawn anew each
second, is read by screen readers, and spares the browser a megabyte of script. The axis labels are HTML around a picture that
is stretched to its box, so that they stay readable at any width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from app.curves import Points
from app.parts import table
from app.story import Curves
from core.wording import Translator

_HOVERS = 60  # places with a tooltip
_WIDTH, _HEIGHT = 600.0, 200.0


@dataclass(frozen=True)
class Series:
    """`kind` is the class in the style sheet: train, raw, validation, rate or speed; dots are drawn for `dots`."""

    label: str
    kind: str
    points: Points
    dots: bool = False


def loss_series(curves: Curves, t: Translator) -> list[Series]:
    """Return training loss (raw and, when there is enough of it, smoothed) and validation loss."""
    raw, validated = curves.loss.points(), curves.validation.points()
    found = []
    if len(raw) > 30:
        found.append(Series("", "raw", raw))
        found.append(Series(t("chart.train"), "train", curves.smooth_loss.points()))
    elif raw:
        found.append(Series(t("chart.train"), "train", raw))
    if validated:
        found.append(Series(t("chart.validation"), "validation", validated, dots=True))
    return found


def rate_series(curves: Curves, t: Translator) -> list[Series]:
    points = curves.rate.points()
    return [Series(t("chart.rate"), "rate", points)] if points else []


def speed_series(curves: Curves, t: Translator) -> list[Series]:
    points = curves.speed.points()
    return [Series(t("chart.speed"), "speed", points)] if points else []


def norm_series(curves: Curves, t: Translator) -> list[Series]:
    points = curves.norm.points()
    return [Series(t("chart.norm"), "norm", points)] if points else []


def by_source(curves: Curves, t: Translator) -> str:
    """Return a table of the validation loss of each source: untrained, at the best step and now. "" for a single source."""
    found = curves.validated
    if not found:
        return ""
    trained = [each for each in found if each.step and math.isfinite(each.loss)]
    shown = {t("chart.untrained"): found[0]} if not found[0].step else {}
    if trained:
        shown[t("chart.best")] = min(trained, key=lambda each: each.loss)
        shown[t("chart.latest", n=f"{trained[-1].step:,}")] = trained[-1]
    rows = [
        [escape(name), *(_number(each.by_source[name]) if name in each.by_source else "–" for each in shown.values())]
        for name in found[-1].by_source
    ]
    title = t("chart.by_source")
    columns = table([t("chart.source"), *shown], rows, caption=title, numbers=range(1, len(shown) + 1))
    return f'<details class="figures" open><summary>{escape(title)}</summary>{columns}</details>'


def chart(series: Sequence[Series], title: str, total: float, t: Translator, small: bool = False) -> str:
    """Return a chart as HTML; `total` is the last step of the x axis. Without points: an empty frame with its title."""
    points = [point for each in series for point in each.points if math.isfinite(point[1])]
    size = "small" if small else "large"
    if not points:
        return f'<figure class="chart {size}"><figcaption>{escape(title)}</figcaption><div class="plot"></div></figure>'
    low, high = _bounds([y for _, y in points])
    last = max(total, max(x for x, _ in points), 1.0)
    drawn = "".join(_drawn(each, low, high, last) for each in series)
    hovers = _hovers(series, last, t)
    ticks = "".join(f"<span>{_number(high - (high - low) * part / 2)}</span>" for part in range(3))
    labelled = [each for each in series if each.label]
    legend = "".join(f'<span class="key {each.kind}">{escape(each.label)}</span>' for each in labelled)
    described = "; ".join(
        f"{each.label}: {_number(each.points[0][1])} → {_number(each.points[-1][1])}"
        for each in labelled
        if each.points
    )
    end = t("chart.step", n=f"{last:,.0f}")
    now = "" if not small else f"<b>{_number(labelled[0].points[-1][1])}</b>"
    return (
        f'<figure class="chart {size}"><figcaption>{escape(title)} {now}<span class="legend">'
        f"{legend if not small else ''}</span></figcaption>"
        f'<div class="plot"><div class="ticks" aria-hidden="true">{ticks}</div>'
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title + ". " + described)}">'
        f'<path class="grid" d="M0 1H{_WIDTH:g}M0 {_HEIGHT / 2:g}H{_WIDTH:g}M0 {_HEIGHT - 1:g}H{_WIDTH:g}"/>'
        f"{drawn}{hovers}</svg></div>"
        f'<div class="steps" aria-hidden="true"><span>0</span><span>{escape(end)}</span></div></figure>'
    )


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(0.0, *values, 0.0), max(values)
    return low, high if high > low else low + 1.0


def _drawn(series: Series, low: float, high: float, last: float) -> str:
    places = [(x / last * _WIDTH, _HEIGHT - (y - low) / (high - low) * (_HEIGHT - 4) - 2) for x, y in series.points]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    # A line of no length with round ends is a dot that stays round however the picture is stretched.
    single = series.dots or len(places) == 1
    dots = "".join(f'<path class="dot {series.kind}" d="M{x:.1f} {y:.1f}h0.01"/>' for x, y in places) if single else ""
    return f'<path class="line {series.kind}" d="{line}"/>{dots}'


def _hovers(series: Sequence[Series], last: float, t: Translator) -> str:
    shown = next((each for each in series if each.kind not in ("raw",)), None)
    if shown is None:
        return ""
    points = shown.points[:: max(1, len(shown.points) // _HOVERS)]
    width = _WIDTH / max(1, len(points))
    return "".join(
        f'<rect class="hover" x="{max(0.0, x / last * _WIDTH - width / 2):.1f}" y="0" width="{width:.1f}" '
        f'height="{_HEIGHT:g}"><title>{escape(t("chart.step", n=f"{x:,.0f}"))}: {_number(y)}</title></rect>'
        for x, y in points
    )


def _number(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1e}".replace("e-0", "e-") if abs(value) < 0.001 else f"{value:.3g}"
