"""The cards at the top of the report: did the task, the identity and the rest come out as wanted; and what readers say."""

from collections.abc import Mapping
from typing import Any, Literal

from core.evaluate.changes import shown
from core.evaluate.contestants import BASE, TUNED
from core.evaluate.in_words import (
    comparison,
    headline,
    identity_words,
    judge_words,
    kept_words,
    outcome,
    parity_words,
    signed,
    votes_words,
)
from core.evaluate.report.pieces import paragraph, part
from core.wording import Translator

Colour = Literal["better", "worse", "partly", "same", "unknown"]
_IDENTITY: Mapping[str, Colour] = {
    "right": "better",
    "partly": "partly",
    "only_under_prompt": "partly",
    "wrong": "worse",
}
_KEPT: Mapping[str, Colour] = {"kept": "better", "slightly": "partly", "lost": "worse"}


def verdicts(score: Mapping[str, Any], t: Translator) -> str:
    """Return a card for each data set and each probe."""
    cards = [*(_task(score, name, t) for name in score["datasets"]), *probe_cards(score, t)]
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def probe_cards(score: Mapping[str, Any], t: Translator) -> list[str]:
    """Return a card for each probe."""
    cards = []
    probes = score.get("probes", {})
    if identity := probes.get("identity"):
        verdict = identity["who"][TUNED]["verdict"]
        cards.append(_card(t("probe.identity"), _IDENTITY.get(verdict, "same"), t(f"probe.identity.{verdict}"),
                           identity_words(identity, TUNED, t)))  # fmt: skip
    if kept := probes.get("kept"):
        verdict = kept["who"][TUNED]["verdict"]
        mark, text = t(f"probe.kept.{verdict}"), kept_words(kept, TUNED, t)
        cards.append(_card(t("probe.kept"), _KEPT.get(verdict, "unknown"), mark, text))
    if parity := probes.get("parity"):
        mark = t(f"probe.parity.{'same' if parity['same'] else 'differs'}")
        cards.append(_card(t("probe.parity"), "better" if parity["same"] else "partly", mark, parity_words(parity, t)))
    return cards


def opinions(score: Mapping[str, Any], t: Translator) -> str:
    """Return what blind votes and a judge model say, where there are any."""
    votes, judged = score.get("votes"), score.get("judge")
    by_hand = paragraph(votes_words(votes, t)) if votes and votes["n"] else ""
    by_model = paragraph(judge_words(judged, t)) if judged else ""
    return part(t("opinion.votes_title"), by_hand) + part(t("opinion.judge_title"), by_model)


def _task(score: Mapping[str, Any], dataset: str, t: Translator) -> str:
    told = comparison(score, dataset, TUNED, BASE, score["datasets"][dataset].get("main", "right"))
    result = outcome(told)
    difference = signed(abs(told["difference"])).lstrip("+") if told and result in ("better", "worse") else ""
    mark = t(f"report.verdict.{result}", difference=difference)
    return _card(t("report.task", dataset=dataset), result, mark, headline(score, dataset, TUNED, BASE, t))


def _card(title: str, colour: Colour, mark: str, text: str) -> str:
    return (
        f'<div class="verdict {colour}"><h2>{shown(title)}</h2><p class="mark">{shown(mark)}</p>'
        f'<p class="more">{shown(text)}</p></div>'
    )
