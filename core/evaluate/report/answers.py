"""The answers worth reading: a few rows of each view, with what differs marked word by word."""

from collections.abc import Sequence

from core.evaluate.changes import as_html, changes, shown
from core.evaluate.contestants import BASE, TUNED
from core.evaluate.in_words import ability, called
from core.evaluate.reading import select
from core.evaluate.report.pieces import paragraph, part, told
from core.evaluate.rows import Row
from core.wording import Translator, joined

SHOWN = 5  # rows of a view; chosen by us: all of them stand in the table that can be exported
# With what the tuned answer is compared: to see a wrong fact, with the expected one; to see a change, with the base's.
_VIEWS = {
    "high_score_wrong": "expected",
    "got_worse": BASE,
    "worst": "expected",
    "most_changed": BASE,
    "best": "expected",
}
_OF_PROBES = {"identity": "worst", "kept": "got_worse"}


def to_read(rows: Sequence[Row], source: str, t: Translator) -> str:
    """Return the first rows of each view of a data set; a row that stands under one view is left out of the next."""
    parts, seen = [], set[str]()
    for view, against in _VIEWS.items():
        if _OF_PROBES.get(source, view) != view:
            continue
        found = [row for row in select(rows, view, source=source) if row.item.key not in seen and _belongs(row, view)]
        seen |= {row.item.key for row in found[:SHOWN]}
        if found:
            count = t("report.of_rows", n=min(SHOWN, len(found)), all=f"{len(found):,}")
            marked = "" if source in _OF_PROBES else t(f"report.compared_{against}")
            note = joined([t(f"view_help.{view}"), marked, count], t("language.code"))
            cards = "".join(_card(row, against, t) for row in found[:SHOWN])
            parts.append(part(t(f"view.{view}"), paragraph(note, "soft") + cards, level=4))
    return "".join(parts)


def _belongs(row: Row, view: str) -> bool:
    """Tell whether a row that a view only puts first, or last, is what its title says."""
    right = row.value(TUNED, "right")
    return {"worst": right != 100, "best": right != 0}.get(view, True)


def _card(row: Row, against: str, t: Translator) -> str:
    item = row.item
    compared = item.expected if against == "expected" else row.text(against)
    marked = item.kind == "data" and compared  # what a probe expects are values in a sentence of any form
    said = as_html(changes(compared, row.text(TUNED))) if marked else shown(row.text(TUNED))
    under = t(f"probe.under.{item.under}") if item.under else ""
    place = " · ".join(filter(None, (item.where or item.key, ability(item.tag, t), under)))
    lines = [
        (t("report.question"), told(item.question)),
        (t("report.expected"), told(item.expected) if item.expected else ""),
        (called(BASE, t), told(row.text(BASE)) if BASE in row.answers else ""),
        (called(TUNED, t), f'<div class="text marked" dir="auto">{said}</div>' if TUNED in row.answers else ""),
    ]
    inside = "".join(f"<div><dt>{shown(label)}</dt><dd>{value}</dd></div>" for label, value in lines if value)
    return f'<article><p class="place">{shown(place)}</p><dl class="answer">{inside}</dl></article>'
