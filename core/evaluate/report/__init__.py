"""The report of an evaluation to take along: one HTML file that opens from disk, without a script and without a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from core.evaluate import scores, votes
from core.evaluate.changes import shown
from core.evaluate.contestants import BASE, TUNED
from core.evaluate.in_words import called
from core.evaluate.report.answers import to_read
from core.evaluate.report.differences import forest, values
from core.evaluate.report.method import method
from core.evaluate.report.pieces import paragraph, part, section
from core.evaluate.report.slices import by_tag, confusion
from core.evaluate.report.steps import curve_of, probe_points, task_points
from core.evaluate.report.verdicts import opinions, verdicts
from core.evaluate.rows import Row, rows
from core.runs.directory import read_config
from core.wording import Translator

PROBES: tuple[Literal["identity", "kept"], ...] = ("identity", "kept")  # those that have answers
FIGURES = Path(__file__).parent / "figures.css"  # of what a report holds; the page shows the same parts
_STYLE = Path(__file__).parent / "style.css"
# No script and nothing from elsewhere, whatever an answer holds: a second lock besides the escaping.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def write_report(job: Path, score: Mapping[str, Any], t: Translator, file: Path) -> Path:
    """Write the report of a finished evaluation in the language of `t`, complete or not at all, and return the file.

    Votes are counted as they stand now: they are given after the score was written.
    """
    aside = file.with_name(file.name + ".part")
    voted = votes.summary(job, scores.grades(job))
    page = report({**score, "votes": voted}, rows(job), read_config(job), t)
    aside.write_text(page, encoding="utf-8", errors="replace")  # half a surrogate pair out of a damaged file
    return aside.replace(file)


def report(score: Mapping[str, Any], found: Sequence[Row], config: Mapping[str, Any], t: Translator) -> str:
    """Return the report as HTML."""
    run = config["run"]
    title = t("report.title", run=run)
    parts = {
        "differences": _differences(score, t),
        "slices": slices_of(score, t),
        "steps": steps_of(score, t),
        "opinions": opinions(score, t),
        "answers": _answers(score, found, t),
        "method": method(score, config, t),
    }
    parts = {name: inside for name, inside in parts.items() if inside}
    links = "".join(f'<li><a href="#{name}">{shown(t(f"report.{name}"))}</a></li>' for name in parts)
    body = "".join(section(t(f"report.{name}"), inside, id=name) for name, inside in parts.items())
    style = "".join(file.read_text(encoding="utf-8") for file in (_STYLE, FIGURES))
    about = t("report.about", created=_when(score["created"]), job=score["job"])
    return (
        f'<!doctype html><html lang="{t("language.code")}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{shown(title)}</title>'
        f"<style>{style}</style></head><body><main>"
        f"<header><h1>{shown(title)}</h1>{paragraph(about, 'soft')}<nav><ul>{links}</ul></nav></header>"
        f"{verdicts(score, t)}{body}<footer>{paragraph(t('report.made'))}</footer></main></body></html>\n"
    )


def _differences(score: Mapping[str, Any], t: Translator) -> str:
    made = [part(t("report.set", name=name, n=f"{told['n']:,}"), forest(score, name, t) + values(score, name, t))
            for name, told in score["datasets"].items()]  # fmt: skip
    return paragraph(t("report.differences_help"), "soft") + "".join(made) if made else ""


def slices_of(score: Mapping[str, Any], t: Translator) -> str:
    made = []
    for name, told in score["datasets"].items():
        tags = by_tag(told.get("by_tag") or {}, told.get("main", "right"), t("report.by_tag", dataset=name), t)
        confused = told.get("confusion") or {}
        tables = [confusion(confused[who], who, t) for who in (BASE, TUNED) if who in confused]
        made.append(part(name, tags + "".join(tables)))
    abilities = score.get("probes", {}).get("kept", {}).get("by_ability") or {}
    most_lost = sorted(abilities.items(), key=lambda each: each[1].get(TUNED, 0) - each[1].get(BASE, 0))
    by_ability = {tag: {"n": each["n"], **{who: {"right": _share(each, who)} for who in (BASE, TUNED)}}
                  for tag, each in most_lost}  # fmt: skip
    made.append(part(t("probe.kept"), by_tag(by_ability, "right", t("report.by_ability"), t)))
    key = "".join(f'<span class="key {who}">{shown(called(who, t))}</span> ' for who in (BASE, TUNED))
    return f'<p class="soft">{key}</p>{"".join(made)}' if any(made) else ""


def _share(counts: Mapping[str, Any], who: str) -> float | None:
    right = counts.get(who)
    return None if right is None or not counts["n"] else 100 * right / counts["n"]


def steps_of(score: Mapping[str, Any], t: Translator) -> str:
    made = [part(name, curve_of(task_points(score, name), name, t)) for name in score["datasets"]]
    made += [part(t(f"probe.{name}"), curve_of(probe_points(score, name), t(f"probe.{name}"), t)) for name in PROBES]
    return "".join(made)


def _answers(score: Mapping[str, Any], found: Sequence[Row], t: Translator) -> str:
    made = [part(name, to_read(found, name, t)) for name in score["datasets"]]
    made += [part(t(f"probe.{name}"), to_read(found, name, t)) for name in PROBES if name in score.get("probes", {})]
    return paragraph(t("report.answers_help"), "soft") + "".join(made) if any(made) else ""


def _when(created: str) -> str:
    return created[:16].replace("T", " ")


__all__ = ["report", "write_report"]
