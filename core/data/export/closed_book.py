"""`format2` and `format3`: questions without their passages, without or with a task sentence before them.

Both are one idea: the model answers from what it has learnt. `format2` asks the bare question, `format3` writes the same
sentence before each (as the instruction, the question is the input).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import orjson

from core.data.canonical import from_dict, to_dict
from core.data.formats.raft import TASK_SENTENCE
from core.records import Conversation, Message, Record


def questions(
    records: Iterable[Record], format: str, spool: Path, task_sentence: str | None = None
) -> Iterator[Record]:
    """Give the records with bare questions (`format2`), or with the task sentence and a line break before them (`format3`).

    The records lie in `spool` meanwhile, because the sentence is what all of them begin with; where they share none, it is
    `task_sentence` or a general one.
    """
    shared: str | None = None
    different = False
    before = ""
    with spool.open("wb") as out:
        for record in records:
            bare = _without_passages(record)
            asked = _question(bare)
            first, line_break, rest = asked.partition("\n")
            sentence = first if line_break and rest.strip() else ""
            shared = sentence if shared in (None, sentence) else ""
            different = different or bool(before and asked != before)
            before = asked
            out.write(orjson.dumps([record.where, to_dict(bare)]) + b"\n")
    sentence = task_sentence or (shared if shared and different else "") or TASK_SENTENCE
    with spool.open("rb") as lines:
        for line in lines:
            where, row = orjson.loads(line)
            yield _asking(from_dict(row, where, strict=False), format, sentence)


def split(question: str, sentence: str) -> str:
    """Return a question without the task sentence before it."""
    rest = question.removeprefix(f"{sentence}\n")
    return rest if rest.strip() else question


def _asking(record: Record, format: str, sentence: str) -> Record:
    if not isinstance(record, Conversation) or not _question(record):
        return record
    asked = split(_question(record), sentence)
    return _with_question(record, asked if format == "format2" else f"{sentence}\n{asked}")


def _without_passages(record: Record) -> Record:
    """Return a conversation whose last question has lost the passages before it."""
    if not isinstance(record, Conversation) or not record.docs:
        return record
    asked = _question(record)
    for doc in record.docs:
        for written in (f"<DOCUMENT>{doc.text}</DOCUMENT>", doc.text):
            if asked.startswith(written):
                asked = asked[len(written) :].lstrip("\n")
                break
    return _with_question(record, asked) if asked.strip() else record


def _question(record: Record) -> str:
    """Return what was asked last, "" for a record that does not end with a question and its answer."""
    if isinstance(record, Conversation) and len(record.messages) > 1 and record.messages[-2].role == "user":
        return record.messages[-2].content
    return ""


def _with_question(record: Conversation, asked: str) -> Conversation:
    return replace(record, messages=(*record.messages[:-2], Message("user", asked), record.messages[-1]))
