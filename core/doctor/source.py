"""The rows of a data set as the doctor meets them: converted, or refused with the reason."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.data.entry import DatasetEntry
from core.data.formats import RowError, converter, named_columns, spread
from core.data.problems import Problems
from core.data.readers import Row, columns_of, iter_rows
from core.errors import DataError, Problem, problem
from core.progress import Progress, silent
from core.records import Conversation, Message, Preference, Prompt, Record, Text, Tokenised

__all__ = ["Row", "RowError", "Seen", "rows_of", "seen_of"]
TESTED = "e"  # the letter of a test row in an entry's parts


def rows_of(
    entry: DatasetEntry, problems: Problems, progress: Progress = silent
) -> Iterator[tuple[Row, Record | RowError]]:
    """Yield every readable row with its record, or with the error that kept it from being one.

    Records are read leniently: broken orders and empty texts pass, because the doctor looks for them himself. What makes
    the whole file unreadable goes to `problems` and ends the rows.
    """
    missing = named_columns(entry.reading)
    first: Row | None = None
    try:
        convert = converter(entry.reading, entry.file.name, strict=False)
        for row in spread(iter_rows(entry.file, problems, progress), entry.reading):
            if missing:
                first = first or row
                missing = [name for name in missing if name not in row.values]
            try:
                yield row, convert(row)
            except RowError as error:
                yield row, error
    except DataError as error:
        problems.add_all(error.problems)
    for name in missing if first else ():
        has = columns_of(first.values) if first else ""
        problems.add("data.missing_column", entry.file.name, column=name, has=has)


def records_of(entry: DatasetEntry, part: str = "") -> Iterator[tuple[Row, Record]]:
    """Yield the usable rows, or only those whose letter in the entry's parts is `part`."""
    letters = entry.parts.letters() if entry.parts and part else ""
    for index, (row, record) in enumerate(rows_of(entry, Problems(entry.file.name))):
        if not isinstance(record, RowError) and (not part or letters[index : index + 1] == part):
            yield row, record


def problem_of(error: RowError, where: str) -> Problem:
    """Return what kept a row from being used as a problem of its own."""
    return problem(error.code, where, **error.values)


@dataclass(frozen=True, slots=True)
class Seen:
    """One record, taken apart once for all checks.

    `question` is what the model is asked (without the system message), `answer` the last thing that it says; of a
    preference the better answer, with the worse one in `rejected`. `texts` are all strings of the record with their roles
    (`text` for running text), `part` its letter in the entry's parts or "".
    """

    index: int
    row: Row
    record: Record
    part: str
    system: str
    question: str
    answer: str
    rejected: str
    texts: tuple[tuple[str, str], ...]

    @property
    def place(self) -> str:
        return self.row.place

    @property
    def spoken(self) -> str:
        """Question and answer, without the passages that a RAFT row shows: those repeat by design."""
        return f"{without_documents(self.question)}\n{self.answer}".strip()


_DOCUMENT = re.compile(r"<DOCUMENT>.*?</DOCUMENT>\s*", re.DOTALL)


def without_documents(question: str) -> str:
    """Return a question without the passages in <DOCUMENT> tags that stand before it."""
    return _DOCUMENT.sub("", question) if "<DOCUMENT>" in question else question


def seen_of(index: int, row: Row, record: Record, part: str = "") -> Seen:
    """Take a record apart."""
    rejected = ""
    match record:
        case Text():
            return Seen(index, row, record, part, "", "", record.text, "", (("text", record.text),))
        case Tokenised():
            return Seen(index, row, record, part, "", "", "", "", ())
        case Preference():
            messages = record.messages + record.chosen
            rejected = "\n".join(each.content for each in record.rejected)
        case _:
            messages = record.messages
    texts = tuple((each.role, each.content) for each in messages)
    if rejected:
        texts += (("assistant", rejected),)
    system, question, answer = _asked(messages, isinstance(record, Prompt))
    return Seen(index, row, record, part, system, question, answer, rejected, texts)


def _asked(messages: tuple[Message, ...], unanswered: bool) -> tuple[str, str, str]:
    last = max((i for i, each in enumerate(messages) if each.role == "assistant"), default=len(messages))
    asked = messages if unanswered else messages[:last]
    system = messages[0].content if messages and messages[0].role == "system" else ""
    question = "\n".join(each.content for each in asked if each.role != "system")
    return system, question, messages[last].content if last < len(messages) and not unanswered else ""


def is_test_set(entry: DatasetEntry) -> bool:
    """Tell whether a set is for testing: by its name, as `NAME_test` belongs to NAME."""
    return entry.name.endswith("_test") or entry.name == "test"


def file_key(file: Path) -> list[tuple[str, int, int]]:
    """Return size and time of change, of a folder those of all its files: what tells that something was edited."""
    files = sorted(each for each in file.rglob("*") if each.is_file()) if file.is_dir() else [file]
    return [(str(each), each.stat().st_size, each.stat().st_mtime_ns) for each in files]


def learnt_turns(record: Record) -> int:
    """Return how many assistant turns of a conversation are learnt; 1 for every other kind."""
    if not isinstance(record, Conversation):
        return 1
    return sum(each.role == "assistant" and each.train for each in record.messages)


def shown(record: Record) -> str:
    """Return the texts of a record on one line, for an example."""
    match record:
        case Text():
            return record.text
        case Tokenised():
            return " ".join(map(str, record.input_ids[:40]))
        case Preference():
            messages = record.messages + record.chosen
        case _:
            messages = record.messages
    return " | ".join(each.content for each in messages if each.role != "system")
