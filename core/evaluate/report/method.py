"""How it was measured: everything that is needed to get the same numbers again."""

from collections.abc import Mapping
from typing import Any

from core.evaluate.changes import shown
from core.evaluate.contestants import BASE
from core.evaluate.in_words import called
from core.evaluate.report.differences import metric_name
from core.evaluate.report.pieces import facts, part, table, told
from core.wording import Translator, has


def method(score: Mapping[str, Any], config: Mapping[str, Any], t: Translator) -> str:
    """Return who answered, under which prompt, how answers were made and judged, and from which data."""
    return "".join(
        (
            part(t("report.contestants"), _who(score, config, t)),
            part(t("report.prompt"), _prompt(score, t)),
            part(t("report.decoding"), facts(_decoding(score, t))),
            part(t("report.data"), _data(score, t)),
            part(t("report.signatures"), _signatures(score.get("signatures", {}), t)),
        )
    )  # fmt: skip


def _who(score: Mapping[str, Any], config: Mapping[str, Any], t: Translator) -> str:
    rows = []
    for each in score.get("who", ()):
        run = each.get("run") or (t("report.base_of", run=config["run"]) if each["id"] == BASE else "")
        rows.append([shown(called(each["id"], t)), shown(run), shown(each.get("saved") or "–")])
    headers = ["", shown(t("report.run")), shown(t("report.saved"))]
    return table(headers, rows, t("report.contestants"))


def _prompt(score: Mapping[str, Any], t: Translator) -> str:
    prompt = score.get("prompt", {})
    kind = "same" if prompt.get("same_as_trained", True) else "other"
    asked = told(prompt["text"]) if prompt.get("text") else f"<p>{shown(t('report.no_prompt'))}</p>"
    name = f"{prompt.get('name', '')}, {t('report.version', n=prompt.get('version', ''))}"
    return f'<p class="soft">{shown(name)} · {shown(t(f"report.prompt_{kind}"))}</p>{asked}'


def _decoding(score: Mapping[str, Any], t: Translator) -> list[tuple[str, str]]:
    chosen = score.get("decoding", {})
    if "strategy" in chosen:
        chosen = {**chosen, "strategy": t(f"decoding.{chosen['strategy']}")}
    named = [(t(f"decoding.{key}") if has(f"decoding.{key}") else key, value) for key, value in chosen.items()]
    return [
        (label, f"{value:,}" if isinstance(value, int) else str(value)) for label, value in named if value is not None
    ]


def _data(score: Mapping[str, Any], t: Translator) -> str:
    rows = []
    for each in score.get("data", ()):
        values = score["datasets"].get(each["name"], {})
        check = values.get("check") or {}
        pattern = f" <code>{shown(check['pattern'])}</code>" if check.get("pattern") else ""
        kind = check.get("kind", "")
        judged = (shown(t(f"check.{kind}")) if has(f"check.{kind}") else shown(kind)) + pattern
        count = f"{values['n']:,}" if "n" in values else "–"
        rows.append([shown(each["name"]), count, judged, f"<code>{shown(each['sha1'])}</code>"])
    headers = ["", shown(t("report.questions")), shown(t("report.check")), "SHA-1"]
    return table(headers, rows, t("report.data"), numbers=(1,))


def _signatures(signed: Mapping[str, Mapping[str, str]], t: Translator) -> str:
    """Return how each metric was computed: once where that is the same for all data sets, else for each of them."""
    rows = []
    for metric in dict.fromkeys(metric for theirs in signed.values() for metric in theirs):
        texts = {name: theirs[metric] for name, theirs in signed.items() if metric in theirs}
        same = len(set(texts.values())) == 1
        told = [next(iter(texts.values()))] if same else [f"{name}: {text}" for name, text in texts.items()]
        rows.append([shown(metric_name(metric, t)), "<br>".join(f"<code>{shown(each)}</code>" for each in told)])
    return table(["", shown(t("report.signature"))], rows, t("report.signatures"))
