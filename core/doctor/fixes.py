"""What mends a finding. A fix reads the data set and gives its rows changed or left out; the file itself stays as it is.

Whoever calls writes the rows as a new version. Every row keeps its `where`, so that it is known which row it was.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.data.entry import DatasetEntry
from core.data.problems import Problems
from core.doctor import changes
from core.doctor.answers import SHORT_ANSWER, copies, count_words, repeats
from core.doctor.codes import CODES
from core.doctor.copies import Contamination, NearDuplicates
from core.doctor.raft import MARK, missing_quote, passages_shown
from core.doctor.source import RowError, Seen, rows_of, seen_of
from core.doctor.structure import Leakage, wrong_turns
from core.doctor.text import disclaims, names_other_maker
from core.doctor.tokens import RowTokens
from core.errors import DataError, problem
from core.placeholders import fill_text
from core.progress import Progress, silent
from core.records import Conversation, Preference, Record, Text, Tokenised, UnpairedPreference

Step = Callable[[Seen], Record | None]  # a row -> what becomes of it; None leaves it out


@dataclass(frozen=True)
class Given:
    """What fixes may need to know. `values` fill blanks, `against` are test sets; the model counts tokens."""

    entry: DatasetEntry
    values: Mapping[str, str] = field(default_factory=dict)
    against: Sequence[DatasetEntry] = ()
    model: Path | None = None
    system_prompt: str | None = None
    cutoff_len: int | None = None
    progress: Progress = silent


@dataclass(frozen=True)
class Fix:
    """`make` prepares the step for one data set; `needs` are the names of the values of `Given` it cannot do without."""

    make: Callable[[Given], Step]
    needs: tuple[str, ...] = ()


def fixed(
    entry: DatasetEntry,
    codes: Sequence[str],
    progress: Progress = silent,
    *,
    values: Mapping[str, str] | None = None,
    against: Sequence[DatasetEntry] = (),
    model: Path | None = None,
    system_prompt: str | None = None,
    cutoff_len: int | None = None,
) -> Iterator[Record]:
    """Yield the rows of a data set with fixes applied, in their order.

    Args:
        codes: names of fixes, or codes of findings that have one. They are applied in the order of `FIXES`.
        progress: told bytes of the file.

    Raises:
        DataError: if there is no such fix, it lacks a value, or rows that cannot be used are there and are not among what
            is to be mended: nothing is left out that nobody asked to leave out.
    """
    names = {_fix_of(code) for code in codes}
    given = Given(entry, dict(values or {}), tuple(against), model, system_prompt, cutoff_len, progress)
    for name in names:
        lacking = [each for each in FIXES[name].needs if not getattr(given, each) and not _has_own(given, each)]
        if lacking:
            raise DataError(problem("doctor.fix_needs", entry.name, fix=name, needs=", ".join(lacking)))
    steps = [fix.make(given) for name, fix in FIXES.items() if name in names]
    problems = Problems(entry.file.name)
    drops_unusable = "drop_unusable" in names
    for index, (row, record) in enumerate(rows_of(entry, problems, progress)):
        if isinstance(record, RowError):
            if not drops_unusable:
                raise DataError(problem("doctor.unusable_left", f"{entry.file.name}:{row.place}"))
            continue
        made: Record | None = record
        for step in steps:
            made = step(seen_of(index, row, made)) if made is not None else None
        if made is not None:
            yield made
    if problems and not drops_unusable:
        raise DataError(problem("doctor.unusable_left", problems.kept[0].where), *problems.listed())


def _fix_of(code: str) -> str:
    name = code if code in FIXES else CODES.get(code, ("note", None))[1]
    if name is None:
        raise DataError(problem("doctor.no_fix", code, known=", ".join(FIXES)))
    return name


def _has_own(given: Given, name: str) -> bool:
    return name == "against" and given.entry.parts is not None


def _change(change: Callable[[str], str]) -> Fix:
    """Return a fix that changes every text of a row."""
    return Fix(lambda given: lambda seen: changes.with_texts(seen.record, change))


def _drop(unwanted: Callable[[Seen], bool]) -> Fix:
    """Return a fix that leaves out the rows of which `unwanted` is true."""
    return Fix(lambda given: lambda seen: None if unwanted(seen) else seen.record)


def _fill(given: Given) -> Step:
    return lambda seen: changes.with_texts(seen.record, lambda text: fill_text(text, given.values))


def _mend_turns(given: Given) -> Step:
    def step(seen: Seen) -> Record | None:
        record = seen.record
        if not isinstance(record, Conversation | UnpairedPreference) or not wrong_turns(record):
            return record
        messages = changes.in_order(record.messages)
        return replace(record, messages=messages) if messages else None

    return step


def _fields(record: Record) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def _unusable(seen: Seen) -> bool:
    match seen.record:
        case Text():
            return not seen.record.text.strip()
        case Tokenised():
            return all(label < 0 for label in seen.record.labels)
        case _:
            return bool(wrong_turns(seen.record))


def _drop_duplicates(given: Given) -> Step:
    met: set[int] = set()

    def step(seen: Seen) -> Record | None:
        record = seen.record
        key = hash((seen.texts, record.input_ids) if isinstance(record, Tokenised) else _content(record))
        if key in met:
            return None
        met.add(key)
        return record

    return step


def _content(record: Record) -> object:
    """Return what two equal rows share: everything but where they came from."""
    return tuple(value for name, value in _fields(record).items() if name not in ("where", "meta", "keywords", "docs"))


def _drop_near(given: Given) -> Step:
    near = NearDuplicates()
    for index, (row, record) in enumerate(rows_of(given.entry, Problems(given.entry.file.name))):
        if not isinstance(record, RowError):
            near.see(seen_of(index, row, record))
    unwanted = near.superfluous(given.progress)
    return lambda seen: None if seen.index in unwanted else seen.record


def _drop_leaked(given: Given) -> Step:
    leakage = Leakage(given.entry, given.against)
    return lambda seen: None if leakage.stands_in(seen.index, seen.row, seen.record) else seen.record


def _drop_contaminated(given: Given) -> Step:
    letters = given.entry.parts.letters() if given.entry.parts else ""
    contamination = Contamination(given.entry, given.against)
    for index, (row, record) in enumerate(rows_of(given.entry, Problems(given.entry.file.name))):
        if not isinstance(record, RowError):
            contamination.see(seen_of(index, row, record, letters[index : index + 1]))
    unwanted = contamination.contaminated(given.progress)
    return lambda seen: None if seen.index in unwanted else seen.record


def _tokens(given: Given) -> RowTokens:
    assert given.model is not None  # `needs` says so
    return RowTokens(given.model, given.system_prompt, given.cutoff_len)


def _drop_long(given: Given) -> Step:
    tokens = _tokens(given)
    return lambda seen: None if tokens.is_too_long(seen) else seen.record


def _drop_unlearnable(given: Given) -> Step:
    tokens = _tokens(given)
    return lambda seen: seen.record if tokens.is_learnable(seen) else None


def _equal_pair(seen: Seen) -> bool:
    return isinstance(seen.record, Preference) and seen.answer.strip() == seen.rejected.strip()


FIXES: dict[str, Fix] = {  # in the order in which they are applied: texts, then turns, then whole rows
    "fill": Fix(_fill, ("values",)),
    "repair_mojibake": _change(changes.repaired),
    "strip_invisible": _change(changes.strip_invisible),
    "escape_control": _change(changes.escape_control),
    "strip_residue": _change(changes.strip_residue),
    "redact": _change(changes.redacted),
    "mend_turns": Fix(_mend_turns),
    "drop_unusable": _drop(_unusable),
    "drop_other_identity": _drop(
        lambda seen: any(r == "assistant" and names_other_maker(t, seen) for r, t in seen.texts)
    ),
    "drop_disclaimers": _drop(lambda seen: disclaims(seen.answer) is not None),
    "drop_short_answers": _drop(lambda seen: count_words(seen.answer) < SHORT_ANSWER),
    "drop_copied": _drop(lambda seen: copies(seen.question, seen.answer)),
    "drop_repetition": _drop(lambda seen: repeats(seen.answer, isinstance(seen.record, Text))),
    "drop_unmarked": _drop(lambda seen: MARK not in seen.answer),
    "drop_unquotable": _drop(lambda seen: bool(missing_quote(seen.answer, shown := passages_shown(seen)) and shown)),
    "drop_equal_pairs": _drop(_equal_pair),
    "drop_duplicates": Fix(_drop_duplicates),
    "drop_near_duplicates": Fix(_drop_near),
    "drop_leaked": Fix(_drop_leaked, ("against",)),
    "drop_contaminated": Fix(_drop_contaminated, ("against",)),
    "drop_long": Fix(_drop_long, ("model", "cutoff_len")),
    "drop_unlearnable": Fix(_drop_unlearnable, ("model",)),
}
