"""An evaluation in sentences: who is better at what, by how much, how sure that is. The page and the report say the same.

A sentence names a winner only where the 95 % interval of the difference excludes 0.
"""

from collections.abc import Mapping
from typing import Any, Literal

from core.evaluate.contestants import BASE, TUNED
from core.wording import Translator, has, joined

Outcome = Literal["better", "worse", "same", "unknown"]
_MINUS = "\u2212"


def called(who: str, t: Translator) -> str:
    """Return what a contestant is called: "base", "tuned", "step 200", the name of another run."""
    if who in (BASE, TUNED):
        return t(f"who.{who}")
    run, _, saved = who.removeprefix("run:").rpartition(":") if who.startswith("run:") else ("", "", who)
    if who.startswith("run:") and not run:  # a run without a saved state
        return saved
    place = t("who.step", n=f"{int(saved[5:]):,}") if saved[:5] == "step-" and saved[5:].isdigit() else saved
    return t("who.of_run", run=run, saved=place) if run else place


def headline(score: Mapping[str, Any], dataset: str, who: str, other: str, t: Translator) -> str:
    """Return how often `who` and `other` are right on a data set, and whether that is a difference."""
    values = score["datasets"][dataset]
    metric = values.get("main", "right")
    mine, theirs = values.get(who, {}).get(metric), values.get(other, {}).get(metric)
    if mine is None or theirs is None:
        return t("headline.nothing", dataset=dataset)
    names = {"who": _first(who, t), "other": called(other, t), "dataset": dataset}
    kind = "right" if metric == "right" else "other"
    both = t(f"headline.{kind}", mine=figure(mine), theirs=figure(theirs), metric=t(f"metric.{metric}"), **names)
    told = comparison(score, dataset, who, other, metric)
    if told is None or told["difference"] is None:
        return t("headline.only", both=both)
    if told["winner"] is None:
        needed = t("headline.needed", n=f"{told['needed']:,}") if told.get("needed") else ""
        return joined([t("headline.chance", both=both, between=_between(told, t)), needed], t("language.code"))
    counts = {name: f"{told[name]:,}" for name in ("wins", "losses", "ties")}
    return t("headline.told", both=both, difference=signed(told["difference"]), between=_between(told, t), **counts)


def identity_words(summary: Mapping[str, Any], who: str, t: Translator) -> str:
    """Return what a model says of itself, from the summary of the identity probe."""
    told, expected = summary["who"][who], summary["expected"]
    if "right" not in told:  # nobody knows who it should be
        says = {which: told["says"].get(which) or t("identity_words.nothing") for which in ("name", "maker")}
        return t(f"identity_words.{told['verdict']}", **says)
    sentences = [
        t(f"identity_words.{which}", said=told[which], n=told["asked"][which], expected=expected[which])
        for which in ("name", "maker")
        if expected[which] and told["asked"][which]
    ]
    if told["leaked"]:
        names = ", ".join(dict.fromkeys((*told["claimed"], *told["old"])))
        sentences.append(t("identity_words.leaked", leaked=told["leaked"], n=told["n"], names=names))
    if told["verdict"] == "only_under_prompt":
        by = {name: t("identity_words.of", right=each["right"], n=each["n"]) for name, each in told["by_under"].items()}
        others = min((name for name in by if name != "trained"), key=lambda name: told["by_under"][name]["right"])
        sentences.append(
            t("identity_words.under", trained=by["trained"], under=t(f"probe.under.{others}"), other=by[others])
        )
    return joined(sentences, t("language.code"))


def kept_words(summary: Mapping[str, Any], who: str, t: Translator) -> str:
    """Return how much of what the base could do a model still does, from the summary of the kept abilities."""
    told, base = summary["who"][who], summary["who"][BASE]
    share = told["kept"]
    if share["value"] is None or share["low"] is None:
        sentences = [t("kept_words.unknown", right=told["right"], n=told["n"])]
    else:
        kept = {name: figure(value) for name, value in share.items()}
        sentences = [t("kept_words.share", right=told["right"], base=base["right"], **kept)]
    if told["abilities_lost"]:
        names = t("kept_words.and").join(ability(tag, t) for tag in told["abilities_lost"])
        sentences.append(t("kept_words.lost", abilities=names))
    if told["perplexity_ratio"]:
        sentences.append(t("kept_words.prose", ratio=f"{told['perplexity_ratio']:.2f}"))
    return joined(sentences, t("language.code"))


def ability(tag: str, t: Translator) -> str:
    """Return what an ability or a kind of question of the probes is called; a task of a person's data keeps its name."""
    key = next((f"{kind}.{tag}" for kind in ("ability", "identity_tag") if has(f"{kind}.{tag}")), "")
    return t(key) if key else tag


def parity_words(summary: Mapping[str, Any], t: Translator) -> str:
    """Return whether the model was asked as it was trained, from the summary of the parity probe."""
    if summary["same"]:
        return t("parity_words.same", n=summary["rows"])
    if not summary["rows"]:
        return t("parity_words.none")
    causes = [t(f"parity_words.{name}") for name in ("system", "template") if not summary[f"{name}_same"]]
    place = summary["differs_at"]
    if place:
        causes.append(t("parity_words.differs", token=f"{place['token'] + 1:,}", where=place["where"]))
    return joined([t("parity_words.other"), *causes], t("language.code"))


def votes_words(summary: Mapping[str, Any], t: Translator) -> str:
    """Return what the person's blind votes add up to."""
    names = {each: called(summary[each], t) for each in ("who", "other")}
    counts = {name: summary[name] for name in ("n", "wins", "losses", "ties")}
    first = t("opinion.votes", bad=summary["both_bad"], **counts, **names)
    agreements = [(name, told) for name, told in summary["metrics"].items() if told["enough"]]
    return joined([first, _won(summary, t), *(_agreed(*each, t) for each in agreements)], t("language.code"))


def judge_words(summary: Mapping[str, Any], t: Translator) -> str:
    """Return what a judge model's verdicts add up to, and what they are worth."""
    names = {each: called(summary[each], t) for each in ("who", "other")}
    counts = {name: summary[name] for name in ("n", "wins", "losses", "ties", "unsure", "judge")}
    sentences = [t("opinion.judge", **counts, **names), _won(summary, t)]
    if summary["agreement"] is not None and summary["first_bias"] is not None:
        shares = {"agreement": figure(summary["agreement"]), "first": figure(summary["first_bias"])}
        sentences.append(t("opinion.agreement", **shares))
    if summary["unread"]:
        sentences.append(t("judge.unread", count=summary["unread"], reply=summary["unread_as"]))
    if summary["metric"]["enough"]:
        sentences.append(_agreed(summary["metric"]["name"], summary["metric"], t))
    return joined(sentences, t("language.code"))


def comparison(score: Mapping[str, Any], dataset: str, who: str, other: str, metric: str) -> dict[str, Any] | None:
    """Return how `who` compares with `other`, None in scores that were made before there were comparisons."""
    found: dict[str, Any] | None = score["datasets"][dataset].get("against", {}).get(who, {}).get(other, {}).get(metric)
    return found


def outcome(told: Mapping[str, Any] | None, higher_is_better: bool = True) -> Outcome:
    """Return whether a comparison tells a gain or a loss; "same" where chance may have made the difference."""
    if told is None or told["difference"] is None or told["low"] is None:
        return "unknown"
    if told["winner"] is None:
        return "same"
    return "better" if (told["winner"] == "who") == higher_is_better else "worse"


def figure(value: float) -> str:
    """Return a percentage as it is worth reading: whole from 10 on, and never rounded to 0 or to 100."""
    if value in (0, 100) or 10 <= value < 99.5 or value > 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if 0.05 <= value < 99.95 else f"{value:.2g}" if value < 1 else f"{value:.2f}"


def signed(value: float) -> str:
    """Return a difference in points with its sign."""
    if value == 0:
        return "0"
    size = abs(value)
    text = f"{size:.0f}" if size >= 10 else f"{size:.1f}" if size >= 0.05 else f"{size:.1g}"
    return ("+" if value > 0 else _MINUS) + text


def _between(told: Mapping[str, Any], t: Translator) -> str:
    low, high = told["low"], told["high"]
    if low is None or high is None:
        return t("headline.no_interval")
    ends = [each.removeprefix("+") if low >= 0 else each for each in (signed(low), signed(high))]
    return t("headline.between", low=ends[0], high=ends[1])


def _first(who: str, t: Translator) -> str:
    """Return a contestant's name as a sentence begins with it; the name of a run stays as it is."""
    name = called(who, t)
    return name if who.startswith("run:") else name[:1].upper() + name[1:]


def _won(summary: Mapping[str, Any], t: Translator) -> str:
    if not summary["enough"] or summary["win_rate"] is None:
        return t("opinion.few")
    low, high = map(figure, summary["interval"])
    return t("opinion.rate", who=_first(summary["who"], t), rate=figure(summary["win_rate"]), low=low, high=high)


def _agreed(metric: str, told: Mapping[str, Any], t: Translator) -> str:
    return t("opinion.metric", metric=t(f"metric.{metric}"), n=told["n"], share=figure(told["share"]))
