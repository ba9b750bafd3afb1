"""What the doctor found in a data set, as HTML: a score that never stands alone, errors first, each with lines and examples.

Buttons carry `data-pick`: `fix:CODE`, `accept:CODE,CODE`; `app.data_findings` acts on them.
"""

from collections.abc import Collection
from html import escape

from app.parts import empty, facts
from core.doctor.report import SEVERITIES, Finding, Report
from core.wording import Translator

_WITH_VALUES = ("fill",)  # fixes that need to be told something; the form for it stands above the findings
_COUNTS = 8  # languages, classes … that are listed; chosen by us: two lines
_LINES = 40  # places that are listed under a finding; chosen by us: the report on disk has the first thousand


def report(found: Report, accepted: Collection[str], t: Translator, *, may_fix: bool, may_accept: bool = True) -> str:
    """Return the whole report. `accepted` are the codes of warnings that a person has accepted for this content."""
    if not found.findings:
        return f'{_summary(found, t)}<p class="good">{escape(t("findings.none"))}</p>{_figures(found, t)}'
    shown = "".join(
        _finding(each, found.name, each.is_accepted(accepted), t, may_fix, may_accept) for each in found.findings
    )
    waiting = found.open_warnings(accepted)
    button = ""
    if may_accept and len(waiting) > 1:
        codes = ",".join(each.accepting for each in waiting)
        text = t("findings.accept_all", n=len(waiting))
        button = f'<p class="foot">{_button(f"accept:{codes}", text)}</p>'
    return f'{_summary(found, t)}<div class="findings">{shown}</div>{button}{_figures(found, t)}'


def counts(found: Report) -> dict[str, int]:
    """Return how many kinds of findings there are of each severity."""
    return {severity: sum(each.severity == severity for each in found.findings) for severity in SEVERITIES}


def not_checked(t: Translator) -> str:
    return empty(t("findings.not_checked"))


def _summary(found: Report, t: Translator) -> str:
    pills = "".join(
        f'<span class="pill {severity}">{escape(t(f"findings.{severity}s", n=count))}</span>'
        for severity, count in counts(found).items()
        if count
    )
    level = "high" if found.score >= 90 else "middle" if found.score >= 60 else "low"  # chosen by us: colours only
    score = escape(t("findings.score", score=found.score))
    quick = "" if found.thorough else f'<p class="note">{escape(t("findings.quick"))}</p>'
    return (
        f'<div class="summary"><span class="score {level}" title="{escape(t("findings.score_help"))}">{score}</span>{pills}'
        f'<span class="small">{escape(t("findings.rows", n=f"{found.rows:,}"))}</span></div>{quick}'
    )


def _finding(
    found: Finding, name: str, accepted: bool, t: Translator, may_fix: bool, may_accept: bool
) -> str:  # fmt: skip
    what, why, fix = found.problem(name).sentences(t("language.code"))
    severity = escape(t(f"findings.{found.severity}"))
    buttons = []
    if found.fix and found.fix not in _WITH_VALUES and may_fix:
        label = t(f"doctor.fix.{found.fix}")
        buttons.append(_button(f"fix:{found.code}", label, t("findings.fix_of", fix=label, what=what)))
    if found.severity == "warning" and may_accept and not accepted:
        buttons.append(_button(f"accept:{found.accepting}", t("findings.accept"), t("findings.accept_of", what=what)))
    done = f'<span class="pill">{escape(t("findings.accepted"))}</span>' if accepted else ""
    count = f"{found.count:,}"
    times = "" if count in what else f' <span class="count">{escape(t("findings.count", n=count))}</span>'
    foot = f'<div class="foot">{"".join(buttons)}{done}</div>' if buttons or done else ""
    return (
        f'<section class="finding {found.severity}" data-code="{escape(found.code)}">'
        f'<h4><span class="pill {found.severity}">{severity}</span> {escape(what)}{times}</h4>'
        f'<p class="why">{escape(why)}</p><p class="fix">{escape(fix)}</p>{_where(found, t)}{foot}</section>'
    )


def _where(found: Finding, t: Translator) -> str:
    """Return the lines and up to five examples, folded."""
    if not found.lines and not found.examples:
        return ""
    lines = ", ".join(found.lines[:_LINES])
    more = t("findings.more_lines", n=f"{found.count - _LINES:,}") if found.count > _LINES < len(found.lines) else ""
    listed = f'<p class="lines">{escape(t("findings.lines", lines=lines))}{escape(more)}</p>' if lines else ""
    examples = "".join(
        f'<li><span class="place">{escape(t("findings.line", line=each.where))}</span> '
        f"{escape(each.say(t('language.code')))}</li>"
        for each in found.examples
    )
    return (
        f"<details><summary>{escape(t('findings.where'))}</summary>{listed}"
        f'<ul class="examples">{examples}</ul></details>'
    )


def _button(pick: str, text: str, label: str = "") -> str:
    named = f' aria-label="{escape(label)}"' if label else ""
    return f'<button type="button" class="small" data-pick="{escape(pick)}"{named}>{escape(text)}</button>'


def _figures(found: Report, t: Translator) -> str:
    """Return what was counted though nothing is wrong with it, folded."""
    pairs: list[tuple[str, str]] = []
    for name in ("tokens", "question_words", "answer_words"):
        if spread := found.stats.get(name):
            values = {key: f"{spread[key]:,}" for key in ("p50", "p95", "max")}
            pairs.append((t(f"figures.{name}"), t("figures.spread", **values)))
    if tokens := found.stats.get("tokens"):
        covers = {key: f"{tokens[key]:,}" for key in ("cover_95", "cover_99")}
        pairs.append((t("figures.cover"), t("figures.cover_of", **covers)))
    for name in ("languages", "tasks", "labels", "preferences"):
        if counts := found.stats.get(name):
            listed = [f"{key} {count:,}" for key, count in list(counts.items())[:_COUNTS]]
            pairs.append((t(f"figures.{name}"), ", ".join([*listed, *(["…"] if len(counts) > _COUNTS else [])])))
    if ratio := found.stats.get("length_ratio"):
        pairs.append((t("figures.length_ratio"), f"{ratio:g}"))
    if not pairs:
        return ""
    return f'<details class="figures"><summary>{escape(t("figures.title"))}</summary>{facts(pairs)}</details>'
