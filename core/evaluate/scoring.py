"""From answers to a score: every metric of every contestant, how sure it is, and who is better than whom. No torch here.

The shape of what comes out is told in docs/evaluation.md; `scores` writes it down.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from core.evaluate import statistics
from core.evaluate.answers import Answer
from core.evaluate.contestants import BASE, TUNED
from core.evaluate.items import Item
from core.evaluate.metrics import METRICS, Corpus, classification, corpus, grade, signatures
from core.evaluate.metrics.check import Check, detect
from core.evaluate.metrics.turns import by_turn
from core.evaluate.options import Options
from core.evaluate.prepare import AUTO, check_of
from core.evaluate.probing import probed
from core.runs.directory import Run
from core.workspace import Workspace

MAIN = "right"
OPEN = "rougeL"  # the main metric where nothing tells right from wrong
GENERAL = ":prose"  # the source of the texts whose perplexity is measured; no data set can have that name
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
    texts: Mapping[str, Sequence[str]]
    asked: Mapping[str, Sequence[bool]]  # a question that there was no room for is neither right nor wrong

    def column(self, who: str, metric: str) -> np.ndarray:
        """Return the values of a metric, shape (n,), NaN where it does not apply."""
        return np.array([math.nan if (v := row.get(metric)) is None else v for row in self.rows[who]], float)

    @cached_property
    def corpora(self) -> dict[str, dict[str, Corpus]]:
        """The metrics of the whole set by contestant; of rows without a reference, or that were not asked, see `counted`."""
        expected = [item.expected for item in self.items]
        names = [name for name, metric in METRICS.items() if metric.kind == "corpus"]
        return {who: {name: corpus(name, texts, expected) for name in names} for who, texts in self.texts.items()}

    def counted(self, *who: str) -> np.ndarray:
        """Return which rows a metric of the whole set counts: those with a reference that all of these were asked."""
        there = [bool(item.expected.strip()) for item in self.items]
        return np.logical_and.reduce([there, *(self.asked[each] for each in who)])


def score_of(
    workspace: Workspace, run: Run, config: dict[str, Any], items: Sequence[Item], said: Answers, measured: Measured,
    go_on: Callable[[], None],
) -> tuple[dict[str, Any], dict[str, dict[str, Values]]]:  # fmt: skip
    """Return the score (data sets, probes and signatures) and the grades of every answer, contestant -> item -> values.

    `go_on` is called before each data set; what it raises ends the work.
    """
    options = Options.model_validate(config["options"])
    grades: dict[str, dict[str, Values]] = {who: {} for who in said}
    score: dict[str, Any] = {"datasets": {}, "signatures": {}, "probes": {}}
    for name in [each["name"] for each in config["data"]]:
        go_on()
        mine = [item for item in items if item.kind == "data" and item.source == name]
        found = graded(mine, said, check_of(options.checks.get(name, AUTO)))
        score["datasets"][name] = scored(found, measured.get(name, {}))
        score["signatures"][name] = signed(found)
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
    expected = [item.expected for item in items]
    check = check or detect(expected, [item.keywords for item in items])
    if check.kind == "label" and not check.pattern:
        check = Check("label", "\n".join(classification.labels_of(expected)))
    rows = {who: [_grade(check, item, theirs[item.key]) for item in items] for who, theirs in answers.items()}
    texts = {who: [theirs[item.key].text for item in items] for who, theirs in answers.items()}
    asked = {who: [theirs[item.key].asked for item in items] for who, theirs in answers.items()}
    return Graded(items, check, rows, texts, asked)


def scored(found: Graded, losses: Losses) -> dict[str, Any]:
    """Return what the score says of one data set."""
    expected = [item.expected for item in found.items]
    told = any(row.get(MAIN) is not None for rows in found.rows.values() for row in rows)
    score: dict[str, Any] = {
        "n": len(found.items),
        "check": found.check.to_dict(),
        "main": MAIN if told else OPEN,
        "unasked": {who: count for who, asked in found.asked.items() if (count := len(asked) - sum(asked))},
    }
    score |= {who: _values(found, who) for who in found.rows}
    score["intervals"] = {who: _intervals(found, who) for who in found.rows}
    score["against"] = {
        who: {other: _against(found, who, other) for other in _rivals(who)} for who in found.rows if who != BASE
    }
    score["by_tag"] = _by_tag(found)
    if turns := _by_turn(found):
        score["by_turn"] = turns
    if found.check.kind == "label":
        score["confusion"] = {who: _classified(said, expected, found.check.labels) for who, said in found.texts.items()}
    score["perplexity"] = {who: perplexity(losses.get(who)) for who in found.rows}
    return score


def _classified(said: Sequence[str], expected: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Return the table of what was said for what, with accuracy and macro F1 and the interval of each."""
    size = (len(labels), len(labels) + 1)
    rows = [classification.counts([one], [wanted], labels) for one, wanted in zip(said, expected, strict=True)]
    flat = np.array(rows, float).reshape(len(rows), -1)
    told = classification.confusion(said, expected, labels)
    for name, score in (("accuracy", classification.accuracy), ("macro_f1", classification.macro_f1)):

        def of(sums: np.ndarray, score: Callable[[np.ndarray], np.ndarray] = score) -> np.ndarray:
            return score(sums.reshape(-1, *size))

        bounds = statistics.corpus_interval(flat, of)
        told[name] = [_round(of(flat.sum(axis=0))[0]), *(_round(bound) for bound in bounds)]
    return told


def signed(found: Graded) -> dict[str, str]:
    """Return how each metric of a data set was computed."""
    return signatures(found.texts[TUNED], [item.expected for item in found.items], found.check)


def perplexity(loss: tuple[float, int] | None) -> float | None:
    """Return exp of the nats a token, None for nothing and for what is beyond any number."""
    if loss is None or not loss[1] or not loss[0] / loss[1] < 700:
        return None
    return _round(math.exp(loss[0] / loss[1]))


def _grade(check: Check, item: Item, answer: Answer) -> Values:
    if not answer.asked:
        return {name: None for name, metric in METRICS.items() if metric.kind == "mean"}
    docs = [doc.text for doc in item.docs]
    return grade(check, answer.text, item.expected, keywords=item.keywords, docs=docs, ended=answer.ended)


def _values(found: Graded, who: str) -> Values:
    values: Values = {}
    for name, metric in METRICS.items():
        if metric.kind == "mean":
            column = found.column(who, name)
            column = column[~np.isnan(column)]
            values[name] = _round(column.mean()) if len(column) else None
        else:
            told, counted = found.corpora[who][name], found.counted(who)
            total = told.statistics[counted].sum(axis=0, keepdims=True)
            values[name] = _round(told.score(total)[0]) if counted.any() else None
    return values


def _intervals(found: Graded, who: str) -> dict[str, Any]:
    intervals = {}
    for name in _compared():
        if METRICS[name].kind == "mean":
            column = found.column(who, name)
            bounds = statistics.interval(column[~np.isnan(column)])
        else:
            told = found.corpora[who][name]
            bounds = statistics.corpus_interval(told.statistics[found.counted(who)], told.score)
        intervals[name] = [_round(bound) for bound in bounds]
    return intervals


def _against(found: Graded, who: str, other: str) -> dict[str, Any]:
    told = {}
    for name in _compared():
        if METRICS[name].kind == "mean":
            mine, theirs = found.column(who, name), found.column(other, name)
            both = ~(np.isnan(mine) | np.isnan(theirs))
            compared = statistics.compare(mine[both], theirs[both])
        else:
            one, two, counted = found.corpora[who][name], found.corpora[other][name], found.counted(who, other)
            compared = statistics.compare_corpus(one.statistics[counted], two.statistics[counted], one.score)
        told[name] = {
            key: _round(each) if isinstance(each, float) else each for key, each in compared.to_dict().items()
        }
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


def _by_turn(found: Graded) -> dict[str, Any]:
    """Return how often each is right in first turns and in later ones, where the set has both."""
    told = {}
    for who, rows in found.rows.items():
        right = (None if (value := row.get(MAIN)) is None else value > 0 for row in rows)
        told[who] = by_turn(zip((item.messages for item in found.items), right, strict=True))
    return told if all(each["difference"] is not None for each in told.values()) else {}


def _compared() -> list[str]:
    """Return the metrics of which more, or less, is better; of the figures for tutorials nobody is told how sure they are."""
    return [
        name for name, metric in METRICS.items() if metric.higher_is_better is not None and metric.group != "compat"
    ]


def _rivals(who: str) -> list[str]:
    return [BASE] if who == TUNED else [BASE, TUNED]


def _round(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 2)
