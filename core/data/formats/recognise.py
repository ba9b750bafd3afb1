"""What a file is, told from its first rows and some others, with the reason; what is not clear is asked, never guessed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from core.data.formats.asking import Ask, about_pairs
from core.data.formats.fits import Fit, Question, Recognition
from core.data.formats.kinds import matches
from core.data.formats.look import Look, Match
from core.data.formats.mixed import flattened
from core.data.formats.readings import Rows, reading_of
from core.data.formats.spread import EACH
from core.data.readers import Row
from core.data.reading import Reading
from core.errors import problem

_ODD_ROLES = 0.1  # share of the conversations; chosen by us: of a file of podcasts, nearly all have names for speakers
_ODD = 20  # places that are kept of rows that the best fit does not cover; chosen by us: nobody looks at more


def recognise(rows: Sequence[Row], name: str) -> Recognition:
    """Return every reading that fits rows of a file called `name`, best first.

    A kind fits if some row is one. Where no kind fits all the rows that are of any kind, the file is mixed: then the first
    fit reads each row as what it is, and asks whether that is meant.
    """
    found = _with_odd_roles([matches(row.values) for row in rows])
    counts = Counter(each[0].kind if each else "" for each in found)
    in_how_many = Counter(match.key for each in found for match in each)
    by_key: dict[str, list[tuple[Look, Match]]] = {key: [] for key in in_how_many}
    for row, each in zip(rows, found, strict=True):
        look = Look(row.values)
        for match in each:
            by_key[match.key].append((look, match))
    order = sorted(in_how_many, key=lambda key: -in_how_many[key])
    known = sum(bool(each) for each in found)
    everywhere = [key for key in order if in_how_many[key] == known]
    within = rows[0].within if rows else ""
    fits = [_fit(key, by_key, len(rows), name, within) for key in order]
    if fits and not everywhere:
        fits.insert(0, _mixed(order, fits, counts, len(rows), name))
    covered = {everywhere[0]} if everywhere else set(order)
    odd = [row.place for row, each in zip(rows, found, strict=True) if not covered & {match.key for match in each}]
    return Recognition(tuple(_named(order, fits)), dict(counts), len(rows), tuple(odd[:_ODD]))


def questions_of(rows: Sequence[Row], columns: Mapping[str, str], name: str) -> tuple[Question, ...]:
    """Return what can be chosen where a person says which columns ask (`prompt`) and answer (`response`)."""
    looks = [(Look(row.values), Match("qa", dict(columns))) for row in rows]
    return tuple(_question(ask, name) for ask in about_pairs(looks, dict(columns)))


def _with_odd_roles(found: list[tuple[Match, ...]]) -> list[tuple[Match, ...]]:
    """Take a few conversations with a speaker whom nobody knows for ones with a wrong role, and not for podcasts.

    Whoever reads such a row says which role it has and what can be done.
    """
    in_column: dict[str, Counter[str]] = {}
    for each in found:
        for match in each:
            if match.kind in ("messages", "sharegpt", "podcast"):
                in_column.setdefault(match.columns["messages"], Counter())[match.kind] += 1

    def usual(match: Match) -> Match:
        kinds = in_column[match.columns["messages"]] if match.kind == "podcast" else Counter[str]()
        others = Counter({kind: count for kind, count in kinds.items() if kind != "podcast"})
        few = others and kinds["podcast"] <= _ODD_ROLES * kinds.total()
        return replace(match, kind=others.most_common(1)[0][0]) if few else match

    return [tuple(map(usual, each)) for each in found]


def _fit(key: str, by_key: dict[str, list[tuple[Look, Match]]], total: int, name: str, within: str) -> Fit:
    """Return the fit of a kind. `within` is the key of the object whose list holds the rows, which is told with the rest."""
    rows: Rows = by_key[key]
    kind = _kind(rows)
    others = {
        column
        for other, each in by_key.items()
        if other != key
        for _, match in each
        for column in match.columns.values()
    }
    reading, asks = reading_of(rows[0][1].kind, rows, others)
    share = len(rows) / total
    evidence = " + ".join((*rows[0][1].evidence, *(("history",) if kind == "alpaca_history" else ())))
    if within:
        evidence = f'{{"{within}": [{evidence}]}}'
    why = problem(f"recognised.{kind}", name, evidence=evidence, share=percent(share), rows=total)
    return Fit(kind, reading, share, why, tuple(_question(ask, name) for ask in asks))


def _kind(rows: Rows) -> str:
    """Return the name of what the rows are: alpaca with earlier turns has one of its own."""
    kind = rows[0][1].kind
    earlier = kind == "alpaca" and any("history" in match.columns and look.value("history") for look, match in rows)
    return "alpaca_history" if earlier else kind


def _mixed(order: Sequence[str], fits: Sequence[Fit], counts: Counter[str], total: int, name: str) -> Fit:
    """Return the fit that reads each row as its own kind; it asks for a yes, and what each of the kinds asks."""
    told = ", ".join(f"{kind or '?'}: {count}" for kind, count in counts.most_common())
    share = 1 - counts[""] / total
    why = problem("recognised.mixed", name, counts=told, share=percent(share), rows=total)
    asks = [_question(Ask("each_row", ("by_its_kind",), None, {"counts": told}), name)]
    readings: dict[str, Reading] = {}
    for key, fit in zip(order, fits, strict=True):
        readings[key] = fit.reading
        asks += [Question(f"{key}.{each.key}", each.choices, each.default, each.why) for each in _of_one_row(fit)]
    return Fit("mixed", Reading("mixed", flattened(readings)), share, why, tuple(asks))


def _of_one_row(fit: Fit) -> Iterator[Question]:
    """Yield the questions of a kind without the choice that makes several rows of one: a mixed file is read row by row."""
    for each in fit.questions:
        choices = tuple(choice for choice in each.choices if choice != EACH)
        if choices == each.choices or len(choices) > 1:
            yield replace(each, choices=choices)


def _named(order: Sequence[str], fits: Sequence[Fit]) -> list[Fit]:
    """Return the fits with names that no two share, so that a person can choose by name."""
    often = Counter(fit.kind for fit in fits)
    keys = [*([""] * (len(fits) - len(order))), *order]
    return [
        Fit(key if often[fit.kind] > 1 else fit.kind, fit.reading, fit.share, fit.why, fit.questions)
        for key, fit in zip(keys, fits, strict=True)
    ]


def _question(ask: Ask, name: str) -> Question:
    return Question(ask.key, ask.choices, ask.default, problem(f"choose.{ask.key}", name, **ask.values))


def percent(share: float) -> str:
    """Return a share in whole percent; 100 only where nothing is missing."""
    return "100" if share == 1 else str(min(99, round(share * 100)))
