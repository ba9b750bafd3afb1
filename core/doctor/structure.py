"""What the quick examination looks for: a few microseconds a row, for every check that can stop a start.

Reading and converting, the order of turns, empty texts, blanks, rows that stand twice, one question with several answers,
and rows of a test set. Of each row only two 64-bit hashes and its place are kept, so that a million rows fit.
"""

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from core.data.entry import DatasetEntry
from core.data.formats.roles import check_filled, check_order
from core.data.overlap import same_key
from core.data.problems import Problems
from core.data.registry import sha1_of
from core.doctor.report import Finding, Tally, found, percent
from core.doctor.source import (
    TESTED,
    Row,
    RowError,
    is_test_set,
    learnt_turns,
    problem_of,
    records_of,
    seen_of,
    shown,
)  # fmt: skip
from core.placeholders import blanks_in
from core.records import Conversation, Message, Preference, Prompt, Record, Text, Tokenised, UnpairedPreference

FEW_ROWS, FEW_TESTS = 50, 16  # facts: with fewer test rows a score is mostly chance
_MANY = 0.01  # share of rows from which copies and contradictions are a warning
_REFUSED = {  # error of a row -> finding; every other one is "unusable_row"
    "data.role_order": "role_order",
    "data.ends_with_user": "ends_with_user",
    "data.unknown_role": "unknown_role",
    "data.empty_answer": "empty_answer",
    "data.empty_question": "empty_question",
    "data.empty_message": "empty_question",
    "data.empty_text": "empty_text",
    "data.no_messages": "ends_with_user",
    "data.missing_column": "missing_column",
}


def unreadable(problems: Problems) -> list[Finding]:
    """Return one finding for what could not be read at all, with the reader's own words as examples."""
    if not problems:
        return []
    tally = Tally("unreadable")
    for each in problems.kept:
        tally.add(each.where.rpartition(":")[2] if ":" in each.where else "", each.where, each)
    tally.count = problems.count
    return [tally.finding()]


def changed(entry: DatasetEntry) -> list[Finding]:
    """Return one finding if the file is not the one that was registered."""
    if not entry.sha1 or not entry.file.is_file():
        return []
    sha1 = sha1_of(entry.file)
    if sha1 == entry.sha1:
        return []
    return [found("changed", 1, wanted=entry.sha1[:8], now=sha1[:8])]


class Structure:
    """What the quick examination remembers while the rows go by."""

    def __init__(self, entry: DatasetEntry) -> None:
        self._test = is_test_set(entry)
        self._tallies: dict[str, Tally] = {}
        self._blanks: set[str] = set()
        self._copies = _Copies()
        self._refused = 0
        self.rows = 0

    def see(self, row: Row, record: Record | RowError) -> None:
        """Look at one row."""
        self.rows += 1
        if isinstance(record, RowError):
            self._refuse(row, record)
        elif isinstance(record, Text):
            self._look_for_blank(row, record.text)
            if not record.text.strip():
                self._tell("empty_text", row)
            self._copies.see(row, record, hash(record.text), 0)
        elif isinstance(record, Tokenised):
            if all(label < 0 for label in record.labels):
                self._tell("nothing_learnt", row)
            self._copies.see(row, record, hash(record.input_ids), hash(record.labels))
        else:
            self._see_turns(row, record)

    def _see_turns(self, row: Row, record: Conversation | Preference | UnpairedPreference | Prompt) -> None:
        """Check order and emptiness. Two plain turns, the usual row, go fast."""
        messages = record.messages
        if type(record) is Conversation and len(messages) == 2:
            asked, answered = messages
            plain = asked.role == "user" and answered.role == "assistant" and not answered.tool_calls
            if plain and answered.train and asked.content.strip() and answered.content.strip():
                if "{{" in asked.content or "{{" in answered.content:
                    self._look_for_blank(row, f"{asked.content}\n{answered.content}")
                self._copies.see(row, record, hash(asked.content), hash(answered.content))
                return
        if isinstance(record, Preference):
            messages += record.chosen
        self._look_for_blank(row, "\n".join(each.content for each in messages))
        code = wrong_turns(record)
        if code:
            self._tell(code, row, record)
        asked_all = messages if isinstance(record, Prompt) else messages[:-1]
        rejected = record.rejected if isinstance(record, Preference) else ()
        wanted = record.desirable if isinstance(record, UnpairedPreference) else None
        question = hash(tuple((each.role, each.content, each.tool_calls) for each in asked_all))
        end = messages[-1] if messages else None
        self._copies.see(row, record, question, hash((end and end.content, end and end.tool_calls, rejected, wanted)))

    def _look_for_blank(self, row: Row, text: str) -> None:
        if "{{" in text and (found := blanks_in(text)):
            self._blanks |= found
            tally = self._tallies.setdefault("placeholder", Tally("placeholder"))
            tally.add(row.place, text)

    def _tell(self, code: str, row: Row, record: Record | None = None) -> None:
        tally = self._tallies.setdefault(code, Tally(code))
        tally.add(row.place, shown(record) if record else "")

    def _refuse(self, row: Row, error: RowError) -> None:
        self._refused += 1
        code = _code_of(error)
        tally = self._tallies.setdefault(code, Tally(code))
        tally.add(row.place, " | ".join(map(str, row.values.values())), problem_of(error, row.place))

    def findings(self) -> Iterable[Finding]:
        """Return what was found."""
        for tally in self._tallies.values():
            values: dict[str, Any] = {"share": percent(tally.count, self.rows), "rows": self.rows}
            if tally.code == "placeholder":
                values["blanks"] = ", ".join(sorted(self._blanks))
            yield tally.finding(**values)
        yield from self._copies.findings(self.rows)
        least = FEW_TESTS if self._test else FEW_ROWS
        if 0 < self.rows < least:
            code = "few_test_rows" if self._test else "few_rows"
            yield found(code, self.rows, rows=self.rows, least=least)

    def stats(self) -> dict[str, Any]:
        return {"usable_rows": self.rows - self._refused, "duplicates": self._copies.twice.count}


def wrong_turns(record: Conversation | Preference | UnpairedPreference | Prompt) -> str:
    """Return the code of what is wrong with the turns of a record, or ""; by the rules of the formats themselves."""
    try:
        if isinstance(record, Preference):
            check_order(record.messages, "", answered=False)
            for answer in (record.chosen, record.rejected):
                check_order((Message("user", "-"), *answer), "")
                check_filled(answer, "")
        elif not isinstance(record, Prompt):
            check_order(record.messages, "")
        check_filled(record.messages, "")
    except RowError as error:
        return _code_of(error, 2 if record.messages and record.messages[0].role == "system" else 1)
    return "" if learnt_turns(record) else "nothing_learnt"


def _code_of(error: RowError, first: int = 1) -> str:
    """Return the finding that an error of a row belongs to. `first` is the number of the turn behind the system message."""
    code = _REFUSED.get(error.code, "unusable_row")
    begins = error.values.get("role") == "assistant" and error.values.get("number") == first
    return "leading_assistant" if code == "role_order" and begins else code


class _Copies:
    """Rows that stand twice, and questions that are answered in more than one way; by 64-bit hashes of their texts."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}  # question -> the first row that asks it
        self._answers = array("q")
        self._numbers = array("q")
        self._lines = array("q")
        self._others: dict[int, set[int]] = {}  # question -> its answers, once there are two
        self._disputed: dict[int, list[int]] = {}  # first row -> rows that answer differently
        self.twice = Tally("duplicates")
        self._contrary = Tally("contradictions")

    def see(self, row: Row, record: Record, question: int, answer: int) -> None:
        index = len(self._answers)
        self._answers.append(answer)
        self._numbers.append(row.number)
        self._lines.append(row.line)
        first = self._first.setdefault(question, index)
        if first == index:
            return
        if self._answers[first] == answer or answer in self._others.get(question, ()):
            self.twice.add(row.place, f"= {self._place(first)}: {shown(record)}")
            return
        self._others.setdefault(question, set()).add(answer)
        self._contrary.add(row.place, f"≠ {self._place(first)}: {shown(record)}")

    def _place(self, index: int) -> str:
        number, line = self._numbers[index], self._lines[index]
        return f"{line} (#{number})" if line else str(number)

    def findings(self, rows: int) -> Iterable[Finding]:
        for tally in (self.twice, self._contrary):
            if tally.count:
                yield tally.finding(tally.count <= _MANY * rows, share=percent(tally.count, rows), rows=rows)


class Leakage:
    """Rows of the test sets, or of the set's own test part, that stand in what is learnt."""

    def __init__(self, entry: DatasetEntry, against: Sequence[DatasetEntry]) -> None:
        self._letters = entry.parts.letters() if entry.parts else ""
        self._keys: dict[int, str] = {}
        self._names = [each.name for each in against]
        for each in against:
            for row, record in records_of(each, TESTED if each.parts else ""):
                self._keys.setdefault(_key(row, record), f"{each.name}:{row.place}")
        if self._letters:
            for row, record in records_of(entry, TESTED):
                self._keys.setdefault(_key(row, record), row.place)
        self._tally = Tally("leakage")

    def __bool__(self) -> bool:
        return bool(self._keys)

    def see(self, index: int, row: Row, record: Record) -> None:
        """Look at row `index` of the file."""
        other = self.stands_in(index, row, record)
        if other:
            self._tally.add(row.place, f"= {other}: {shown(record)}")

    def stands_in(self, index: int, row: Row, record: Record) -> str:
        """Return the place of the test row that a learnt row is identical to, or ""."""
        if self._letters[index : index + 1] == TESTED or isinstance(record, Tokenised):
            return ""
        return self._keys.get(_key(row, record), "")

    def findings(self) -> Iterable[Finding]:
        if self._tally.count:
            yield self._tally.finding(test=", ".join(self._names) or "test", tests=len(self._keys))


def _key(row: Row, record: Record) -> int:
    seen = seen_of(0, row, record)
    return same_key(seen.question, seen.answer)
