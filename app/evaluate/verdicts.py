"""What came out: the sentence that counts, the verdicts, and the figures behind them. The report has the same parts."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from core.evaluate import scores
from core.evaluate.contestants import BASE, TUNED
from core.evaluate.in_words import headline as sentence
from core.evaluate.report import slices_of, steps_of
from core.evaluate.report.differences import forest, values
from core.evaluate.report.method import method
from core.evaluate.report.verdicts import opinions, probe_cards
from core.runs.directory import read_config
from core.wording import Translator


def headline(score: Mapping[str, Any], t: Translator) -> str:
    """Return, for each data set, who is right how often and whether that is a difference; other contestants after it."""
    if score.get("format") != scores.FORMAT:
        return f'<p class="note">{escape(t("evaluate.of_before"))}</p>'
    lines = []
    for name in score["datasets"]:
        lines.append(f'<p class="headline">{escape(sentence(score, name, TUNED, BASE, t))}</p>')
        others = [each["id"] for each in score["who"] if each["id"] not in (BASE, TUNED)]
        lines += [f'<p class="small">{escape(sentence(score, name, who, TUNED, t))}</p>' for who in others]
    return f'<div id="scores">{"".join(lines)}</div>'


def cards(score: Mapping[str, Any], t: Translator) -> str:
    """Return the verdicts on identity, kept abilities and prompt as cards; that on the task is the headline."""
    if score.get("format") != scores.FORMAT:
        return ""
    return f'<div class="evaluation"><div class="cards">{"".join(probe_cards(score, t))}</div></div>'


def figures(job: Path, score: Mapping[str, Any], t: Translator) -> str:
    """Return the figures of each data set: the differences open, everything else folded."""
    if score.get("format") != scores.FORMAT:
        return ""
    parts = []
    for name, told in score["datasets"].items():
        title = escape(t("evaluate.of", name=name, n=f"{told['n']:,}"))
        inside = forest(score, name, t) + _folded(t("evaluate.all_figures"), values(score, name, t))
        parts.append(f"<section><h4>{title}</h4>{inside}</section>")
    parts.append(steps_of(score, t))
    parts.append(_folded(t("report.slices"), slices_of(score, t)))
    parts.append(_folded(t("report.opinions"), opinions(score, t), opened=True))
    parts.append(_folded(t("report.method"), method(score, read_config(job), t)))
    return f'<div class="evaluation">{"".join(parts)}</div>'


def asked_otherwise(job: Path, t: Translator) -> str:
    """Return, for a job that asked under another prompt than the trained one, that it did."""
    prompt = read_config(job)["prompt"]
    if prompt.get("same_as_trained", True):
        return ""
    return f'<p class="note different">{escape(t("prompt_note.was_other", chosen=prompt["text"] or "–"))}</p>'


def _folded(title: str, inside: str, opened: bool = False) -> str:
    if not inside:
        return ""
    return f"<details{' open' if opened else ''}><summary>{escape(title)}</summary>{inside}</details>"
