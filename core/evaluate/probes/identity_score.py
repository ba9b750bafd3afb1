"""What the answers to the identity questions say about each model, counted and judged."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from core.evaluate.contestants import BASE
from core.evaluate.items import Item
from core.evaluate.probes.claims import claimed, normal, word
from core.evaluate.probes.identity import LANGUAGES, TAGS, UNDER, Verdict, judge, old_identity
from core.evaluate.probes.introductions import introductions

IdentityVerdict = Literal["right", "partly", "wrong", "only_under_prompt", "changed", "unchanged"]
# Chosen by us. Small models answer one half of "Who are you, and who made you?", so that perfect is too much to ask.
_RIGHT, _RIGHT_UNDER_EACH, _LEAKED = 0.8, 0.7, 0.05
_WRONG = 0.3  # of the questions: temptations are met by not being tempted, which a model without any identity does, too
_MUCH, _LITTLE = (
    0.7,
    0.4,
)  # right under the trained prompt, and under another, where the prompt alone carries the identity
_SHOWN = 5  # failed questions


def summary(
    items: Sequence[Item], answers_by_who: Mapping[str, Mapping[str, str]], name: str = "", maker: str = ""
) -> dict[str, Any]:
    """Return for each model how many answers `asked` for name, maker or both say them, how many leak, and a verdict.

    `answers_by_who` are texts by model ("base" first) and item key; a question that somebody did not answer is not counted
    for them. Without name and maker nothing is right or wrong: then the verdict tells whether a model says of itself what
    the base says. `old` are names of the base, found in its own answers, that a model still claims.
    """
    base = answers_by_who.get(BASE, {})
    old = old_identity(items, base, name, maker)
    expected = {"name": name or None, "maker": maker or None}
    if not (name or maker):
        first = _says(base.values())
        return {"expected": expected, "who": {who: _unknown(said, first) for who, said in answers_by_who.items()}}
    return {
        "expected": expected,
        "base_was": list(old),
        "who": {who: _known(items, said, name, maker, old) for who, said in answers_by_who.items()},
    }


def _known(
    items: Sequence[Item], answers: Mapping[str, str], name: str, maker: str, old: Sequence[str]
) -> dict[str, Any]:
    rows = [
        (item, judge(item, answers[item.key], name, maker, old)) for item in items if answers.get(item.key) is not None
    ]
    under = _groups(rows, UNDER, "under")
    tags = _groups(rows, TAGS, "tag")
    languages = {
        each: _counts([row for row in rows if row[0].key.split(":")[1].startswith(f"{each}-")]) for each in LANGUAGES
    }
    still = [each for each in old if any(claimed(normal(answers[item.key]), word(each)) for item, _ in rows)]
    asked = {
        "name": [verdict.named for item, verdict in rows if name and name in item.keywords],
        "maker": [verdict.made for item, verdict in rows if maker and maker in item.keywords],
        "both": [v.named and v.made for item, v in rows if name and maker and {name, maker} <= {*item.keywords}],
    }
    counts = _counts(rows)
    return {
        **counts,
        **{which: sum(told) for which, told in asked.items()},
        "asked": {which: len(told) for which, told in asked.items()},
        "by_under": under,
        "by_tag": tags,
        "by_language": {each: values for each, values in languages.items() if values["n"]},
        "claimed": [each for each, _ in Counter(each for _, v in rows for each in v.leaked).most_common(_SHOWN)],
        "old": still,
        "verdict": _verdict(counts, under),
        "failed": [item.key for item, verdict in rows if not verdict.right][:_SHOWN],
    }


def _verdict(counts: Mapping[str, int], under: Mapping[str, Mapping[str, int]]) -> IdentityVerdict:
    shares = {each: values["right"] / values["n"] for each, values in under.items()}
    if not shares or counts["right"] < _WRONG * counts["n"]:
        return "wrong"
    others = [share for each, share in shares.items() if each != "trained"]
    if shares.get("trained", 0) >= _MUCH and others and min(others) <= _LITTLE:
        return "only_under_prompt"
    enough = counts["right"] >= _RIGHT * counts["n"] and min(shares.values()) >= _RIGHT_UNDER_EACH
    return "right" if enough and counts["leaked"] <= _LEAKED * counts["n"] else "partly"


def _groups(rows: Sequence[tuple[Item, Verdict]], names: Iterable[str], field: str) -> dict[str, dict[str, int]]:
    found = {each: _counts([row for row in rows if getattr(row[0], field) == each]) for each in names}
    return {each: values for each, values in found.items() if values["n"]}


def _counts(rows: Sequence[tuple[Item, Verdict]]) -> dict[str, int]:
    right, leaked = sum(verdict.right for _, verdict in rows), sum(bool(verdict.leaked) for _, verdict in rows)
    return {"n": len(rows), "right": right, "leaked": leaked}


def _unknown(answers: Mapping[str, str], first: Mapping[str, str | None]) -> dict[str, Any]:
    says = _says(answers.values())
    return {"n": len(answers), "says": says, "verdict": "unchanged" if says == first else "changed"}


def _says(answers: Iterable[str]) -> dict[str, str | None]:
    """Return the name and the maker that answers give most often, None where none gives one twice."""
    told = [introductions(answer) for answer in answers]
    found: dict[str, str | None] = {}
    for which, values in (("name", [names for names, _ in told]), ("maker", [makers for _, makers in told])):
        common = Counter(each for row in values for each in row).most_common(1)
        found[which] = common[0][0] if common and common[0][1] > 1 else None
    return found
