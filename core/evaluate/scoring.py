"""From answers to a score: every metric of every contestant, how sure it is, and who is better than whom. No torch here.

The shape of what comes out is told in docs/evaluation.md; `scores` writes it down.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.evaluate import statistics
from core.evaluate.answers import Answer
from core.evaluate.contestants import BASE, TUNED
from core.evaluate.items import Item
from core.evaluate.metrics import METRICS, classification, corpus, grade, signatures
from core.evaluate.metrics.check import Check, detect
from core.evaluate.options import Options
from core.evaluate.prepare import AUTO, check_of
from core.evaluate.probing import probed
from core.runs.directory import Run
from core.workspace import Workspace

MAIN = "right"
GENERAL = "kept"  # the source of the general texts whose perplexity is measured
Values = dict[str, float | None]
Answers = Mapping[str, Mapping[str, Answer]]  # contestant -> item's key -> answer
Losses = Mapping[str, tuple[float, int]]  # contestant -> nats and tokens
Measured = dict[str, dict[str, tuple[float, int]]]  # source -> contestant -> nats and tokens


@dataclass(frozen=True)
class Graded:
    """One data set as it was answered: `values` are contestant -> metric -> one number a row (NaN: does not apply)."""

    items: Sequence[Item]
    check: Check
    rows: Mapping[str, Sequence[Values]]

    def column(self, who: str, metric: str) -> np.ndarray:
        """Return the values of a metric, shape (n,), NaN where it does not apply."""
        return np.array([math.nan if (v := row.get(metric)) is None else v for row in self.rows[who]], float)


def score_of(
    workspace: Workspace, run: Run, config: dict[str, Any], items: Sequence[Item], said: Answers, measured: Measured
) -> tuple[dict[str, Any], dict[str, dict[str, Values]]]:
    """Return the score (data sets, probes and signatures) and the grades of every answer, contestant -> item -> values."""
    options = Options.model_validate(config["options"])
    grades: dict[str, dict[str, Values]] = {who: {} for who in said}
    score: dict[str, Any] = {"datasets": {}, "signatures": {}, "probes": {}}
    for name in [each["name"] for each in config["data"]]:
        found = graded([item for item in items if item.source == name], said, check_of(options.checks.get(name, AUTO)))
        score["datasets"][name] = scored(found, said, measured.get(name, {}))
        score["signatures"][name] = signed(found, said)
        for who, rows in found.rows.items():
            grades[who] |= {item.key: row for item, row in zip(found.items, rows, strict=True)}
    if options.probes:
        prose = {who: perplexity(loss) for who, loss in measured.get(GENERAL, {}).items()}
        score["probes"], right = probed(workspace, run, config, items, said, prose)
        for who, theirs in right.items():
            grades[who] |= {key: {MAIN: 100.0 * each} for key, each in theirs.items()}
    return score, grades


def graded(items: Sequence[Item], answers: Answers, check: Check | None = None) -> Graded:
    """Grade every answer to the items of one data set; None takes the check that the data asks for."""
    check = check or detect([item.expected for item in items], [item.keywords for item in items])
    rows = {who: [_grade(check, item, theirs[item.key]) for item in items] for who, theirs in answers.items()}
    return Graded(items, check, rows)


def scored(found: Graded, answers: Answers, losses: Losses) -> dict[str, Any]:
    """Return what the score says of one data set."""
    texts = {who: [theirs[item.key].text for item in found.items] for who, theirs in answers.items()}
    expected = [item.expected for item in found.items]
    score: dict[str, Any] = {"n": len(found.items), "check": found.check.to_dict(), "main": MAIN}
    score |= {who: _values(found, who, texts[who], expected) for who in answers}
    score["intervals"] = {who: _intervals(found, who, texts[who], expected) for who in answers}
    score["against"] = {
        who: {other: _against(found, who, other, texts, expected) for other in _rivals(who)}
        for who in answers if who != BASE
    }  # fmt: skip
    score["by_tag"] = _by_tag(found)
    if found.check.kind == "label":
        score["confusion"] = {
            who: classification.confusion(said, expected, found.check.labels) for who, said in texts.items()
        }
    score["perplexity"] = {who: perplexity(losses.get(who)) for who in answers}
    return score


def signed(found: Graded, answers: Answers) -> dict[str, str]:
    """Return how each metric of a data set was computed."""
    who = TUNED if TUNED in answers else next(iter(answers))
    texts = [answers[who][item.key].text for item in found.items]
    return signatures(texts, [item.expected for item in found.items], found.check)


def perplexity(loss: tuple[float, int] | None) -> float | None:
    """Return exp of the nats a token, None for nothing and for what is beyond any number."""
    if loss is None or not loss[1] or not loss[0] / loss[1] < 700:
        return None
    return _round(math.exp(loss[0] / loss[1]))


def _grade(check: Check, item: Item, answer: Answer) -> Values:
    return grade(
        check,
        answer.text,
        item.expected,
        keywords=item.keywords,
        docs=[doc.text for doc in item.docs],
        ended=answer.ended,
    )


def _values(found: Graded, who: str, texts: Sequence[str], expected: Sequence[str]) -> Values:
    values: Values = {}
    for name, metric in METRICS.items():
        if metric.kind == "mean":
            column = found.column(who, name)
            column = column[~np.isnan(column)]
            values[name] = _round(column.mean()) if len(column) else None
        else:
            told = corpus(name, texts, expected)
            values[name] = _round(told.score(told.statistics.sum(axis=0, keepdims=True))[0])
    return values


def _intervals(found: Graded, who: str, texts: Sequence[str], expected: Sequence[str]) -> dict[str, Any]:
    intervals = {}
    for name in _compared():
        if METRICS[name].kind == "mean":
            column = found.column(who, name)
            bounds = statistics.interval(column[~np.isnan(column)])
        else:
            told = corpus(name, texts, expected)
            bounds = statistics.corpus_interval(told.statistics, told.score)
        intervals[name] = [_round(bound) for bound in bounds]
    return intervals


def _against(
    found: Graded, who: str, other: str, texts: Mapping[str, Sequence[str]], expected: Sequence[str]
) -> dict[str, Any]:
    told = {}
    for name in _compared():
        if METRICS[name].kind == "mean":
            mine, theirs = found.column(who, name), found.column(other, name)
            both = ~(np.isnan(mine) | np.isnan(theirs))
            compared = statistics.compare(mine[both], theirs[both])
        else:
            mine_told, theirs_told = corpus(name, texts[who], expected), corpus(name, texts[other], expected)
            compared = statistics.compare_corpus(mine_told.statistics, theirs_told.statistics, mine_told.score)
        told[name] = {key: _round(each) if isinstance(each, float) else each for key, each in compared.to_dict().items()}
    return told


def _by_tag(found: Graded) -> dict[str, Any]:
    """Return the means of the rows of each tag, where there are several tags."""
    tags = dict.fromkeys(item.tag for item in found.items)
    if len(tags) < 2:
        return {}
    by_tag: dict[str, Any] = {}
    for tag in tags:
        mine = np.array([item.tag == tag for item in found.items])
        by_tag[tag] = {"n": int(mine.sum())}
        for who in found.rows:
            values = {name: found.column(who, name)[mine] for name in _compared() if METRICS[name].kind == "mean"}
            by_tag[tag][who] = {
                name: None if np.isnan(each).all() else _round(np.nanmean(each)) for name, each in values.items()
            }
    return by_tag


def _compared() -> list[str]:
    """Return the metrics of which more, or less, is better; of the figures for tutorials nobody is told how sure they are."""
    return [
        name for name, metric in METRICS.items() if metric.higher_is_better is not None and metric.group != "compat"
    ]


def _rivals(who: str) -> list[str]:
    return [BASE] if who == TUNED else [BASE, TUNED]


def _round(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 2)
