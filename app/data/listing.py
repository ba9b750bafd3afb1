"""The list of data sets, made from the registry and kept reports alone: it never reads a data file. And the trash."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape

from app.datasets import Described
from app.parts import empty, pick, table
from core.data.registry import DatasetEntry
from core.data.trash import Trashed
from core.wording import Translator


def sets(
    entries: Mapping[str, DatasetEntry], described: Mapping[str, Described], chosen: str | None, t: Translator
) -> str:  # fmt: skip
    """Return the sets as a table: the person's own first, then the ones that come with the studio."""
    own = [each for each in entries.values() if not each.sample]
    samples = [each for each in entries.values() if each.sample]
    hint = "" if own else empty(t("data.none_own"))
    shown = _table(own, described, chosen, t("data.own_sets"), t) if own else hint
    return shown + _table(samples, described, chosen, t("data.sample_sets"), t)


EMPTY, REALLY, KEEP = "empty", "really", "keep"  # picks in the trash that are not the number of something in it


def trashed(found: Sequence[Trashed], t: Translator, asking: bool = False) -> str:
    """Return what lies in the trash, each with a button that brings it back, and the way to empty it, which asks before."""
    rows = [
        [
            escape(each.name) + (f'<div class="small">{escape(t("trash.version"))}</div>' if each.version else ""),
            escape(datetime.fromtimestamp(each.removed).strftime("%Y-%m-%d %H:%M")),
            f"{each.size / 1e6:,.2f} MB",
            _button(each.id, t("trash.restore")),
        ]
        for each in found
    ]
    if not rows:
        return f'<p class="small">{escape(t("trash.empty"))}</p>'
    headers = [t("data.set"), t("trash.removed"), t("about.size"), ""]
    listed = table(headers, rows, caption=t("trash.title"), numbers=(2,))
    if not asking:
        return f'{listed}<p class="actions">{_button(EMPTY, t("trash.delete"))}</p>'
    size = f"{sum(each.size for each in found) / 1e6:,.2f}"
    question = f"<p>{escape(t('trash.really', n=len(found), size=size))}</p>"
    buttons = _button(REALLY, t("trash.yes")) + " " + _button(KEEP, t("about.no"))
    return f'{listed}<div class="confirm" role="alert">{question}<p class="actions">{buttons}</p></div>'


def _button(pick: str, text: str) -> str:
    return f'<button type="button" class="small" data-pick="{escape(pick)}">{escape(text)}</button>'


def state(described: Described, t: Translator) -> str:
    """Return the state of a set as a coloured word."""
    return f'<span class="pill data-{described.state}">{escape(t("data.state." + described.state))}</span>'


def _table(
    entries: Iterable[DatasetEntry], described: Mapping[str, Described], chosen: str | None, title: str, t: Translator
) -> str:  # fmt: skip
    headers = [title, t("data.rows"), t("data.state")]
    rows = [
        [
            f"{pick(each.name, each.name == chosen)}<div class='small'>{escape(_kind(each, t))}"
            f"{escape(' · ' + each.description if each.description else '')}</div>",
            f"{described[each.name].rows:,}" if described[each.name].rows else "–",
            state(described[each.name], t),
        ]
        for each in entries
    ]
    return table(headers, rows, caption=title, numbers=(1,))


def _kind(entry: DatasetEntry, t: Translator) -> str:
    return t("data.kind_as", kind=t(f"kind.{entry.kind}"), format=entry.recognised or entry.reading.format)
