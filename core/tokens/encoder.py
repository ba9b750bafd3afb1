"""Records to flat arrays: the ids and the learnt tokens of many rows, one after another, and a few facts about each row."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from core.errors import Problem, StudioError
from core.placeholders import blanks_in
from core.records import Conversation, Kind, Message, Preference, Record, Text, Tokenised, UnpairedPreference
from core.render.control import ControlSearch
from core.render.tokenizer import ChatTokenizer, Encoded

KINDS: tuple[Kind, ...] = get_args(Kind)
CHAT, TEXT = KINDS.index("chat"), KINDS.index("text")
NO_RECORD = 255  # the kind of a row that no record could be made of
ROW = np.dtype(
    [
        ("question", "<u8"),  # hash of what is asked, of running text of the text: equal ones are split alike
        ("number", "<i8"),  # the place of the row in its file, see `core.data.containers.row.Row`
        ("line", "<i8"),
        ("task", "<i4"),  # number of the name in `TokenSet.tasks`
        ("learnt", "<i4"),  # tokens that are learnt; the first one has nothing before it and cannot be
        ("last", "<i4"),  # the token with which the last learnt stretch begins
        ("kind", "u1"),  # number of the name in KINDS
        ("refused", "?"),  # read strictly, it is not a row to train on
        ("failed", "?"),  # the model's template does not take it
        ("blank", "?"),  # has an unfilled {{blank}}
        ("answered", "?"),  # there are words to be learnt
        ("stops", "?"),  # a token that ends an answer is learnt
        ("control", "?"),  # a control token stands in its texts
    ]
)


@dataclass(frozen=True)
class Block:
    """Rows that were encoded together. `ids` (int32) and `learnt` (bool) hold all their tokens, `lengths` says how many each.

    `names` are the control tokens that stand in their texts; `failures` are (row of this block, kind of error, problem).
    """

    rows: np.ndarray
    lengths: np.ndarray
    ids: np.ndarray
    learnt: np.ndarray
    names: tuple[str, ...] = ()
    failures: tuple[tuple[int, str, Problem], ...] = ()


class Encoder:
    """Renders and encodes rows for one model under one system prompt, exactly as they are trained."""

    def __init__(self, folder: Path, system_prompt: str | None) -> None:
        """Raises ModelError if the tokenizer in `folder` cannot be used."""
        self.tokenizer = ChatTokenizer.load(folder)
        self._system = system_prompt
        self._control = ControlSearch(self.tokenizer.control_tokens)
        self._stops = np.array(self.tokenizer.stop_ids, np.int32)

    @property
    def has_own_control_tokens(self) -> bool:
        """Whether the tokenizer has control tokens that are not of a known family."""
        return self._control.has_own

    def encode(self, record: Record) -> Encoded | None:
        """Return the tokens of a row, of a preference those of the longer side; None for rows that nothing is learnt from.

        Raises:
            ModelError, DataError: if the model's template does not take it.
        """
        if isinstance(record, Text):
            return self.tokenizer.encode_text(record.text)
        if isinstance(record, Preference):
            sides = (
                Conversation(record.messages + side, tools=record.tools) for side in (record.chosen, record.rejected)
            )
            return max((self._conversation(each) for each in sides), key=lambda side: len(side.ids))
        if isinstance(record, UnpairedPreference):
            record = Conversation(record.messages, tools=record.tools)
        return self._conversation(record) if isinstance(record, Conversation) else None

    def _conversation(self, conversation: Conversation) -> Encoded:
        return self.tokenizer.encode(conversation.with_system(self._system))

    def block(self, records: Sequence[Record | None]) -> Block:
        """Encode rows; one that fails has no tokens and is told in `failures`. None stands for a row without any to learn.

        The place, the task and the kind of each row are left to whoever read it.
        """
        rows = np.zeros(len(records), ROW)
        names: dict[str, None] = {}
        failures = []
        ids: list[int] = []
        learnt: list[bool] = []
        lengths = np.zeros(len(records), np.int64)
        for number, record in enumerate(records):
            if record is None:
                continue
            self._look(rows[number], record, names)
            try:
                encoded = self.encode(record)
            except StudioError as error:
                rows["failed"][number] = True
                failures.append((number, type(error).__name__, error.problems[0]))
                continue
            if encoded is not None:
                ids += encoded.ids
                learnt += encoded.learnt
                lengths[number] = len(encoded.ids)
        block = Block(rows, lengths, np.array(ids, np.int32), np.array(learnt, bool), tuple(names), tuple(failures))
        _count(block, self._stops)
        return block

    def _look(self, row: Any, record: Record, names: dict[str, None]) -> None:
        """Note what the texts of a row tell, before they become tokens."""
        texts = texts_of(record)
        if isinstance(record, Conversation | Text):
            row["question"] = question_hash(record)
        row["blank"] = isinstance(record, Conversation) and any("{{" in text and blanks_in(text) for text in texts)
        row["answered"] = bool(_answer(record).strip())
        found = next((found for text in texts if (found := self._control.search(text))), None)
        if found:
            row["control"] = True
            names[found[0].strip()] = None


def texts_of(record: Record) -> list[str]:
    """Return every text of a row, calls of tools left out."""
    match record:
        case Text():
            return [record.text]
        case Tokenised():
            return []
        case Preference():
            messages: tuple[Message, ...] = record.messages + record.chosen + record.rejected
        case _:
            messages = record.messages
    return [message.content for message in messages]


def question_hash(record: Conversation | Text) -> int:
    """Return 64 bits that equal questions share, whatever their system prompt; of running text, equal texts."""
    if isinstance(record, Text):
        asked = record.text
    else:
        spoken = (message for message in record.question if message.role != "system")
        asked = "\x1f".join(f"{message.role}\x1e{message.content}" for message in spoken)
    return int.from_bytes(hashlib.blake2b(asked.encode(), digest_size=8).digest(), "little")


def _answer(record: Record) -> str:
    """Return what is expected to be learnt last, "" where nothing is."""
    match record:
        case Text():
            return record.text
        case Preference():
            messages = record.messages + record.chosen
        case Conversation() | UnpairedPreference():
            messages = record.messages
        case _:
            return ""
    answers = [message for message in messages if message.role == "assistant"]
    is_learnt = not isinstance(record, Conversation) or any(answer.train for answer in answers)
    return answers[-1].content if answers and is_learnt else ""


def _count(block: Block, stops: np.ndarray) -> None:
    """Fill in what the tokens of each row tell: how many are learnt, where the last stretch begins, whether one stops."""
    ends = np.cumsum(block.lengths)
    starts = ends - block.lengths
    firsts = starts[block.lengths > 0]
    can_be = block.learnt.copy()
    can_be[firsts] = False
    block.rows["learnt"] = _within(can_be, starts, ends)
    block.rows["stops"] = _within(block.learnt & np.isin(block.ids, stops), starts, ends) > 0
    before = np.zeros(len(block.learnt), bool)
    before[1:] = block.learnt[:-1]
    before[firsts] = False
    begins = np.flatnonzero(block.learnt & ~before)
    if len(begins):
        last = begins[np.maximum(np.searchsorted(begins, ends) - 1, 0)]
        block.rows["last"] = np.where((starts <= last) & (last < ends), last - starts, 0)


def _within(marks: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return how many marks lie in each stretch."""
    sums = np.concatenate([[0], np.cumsum(marks)])
    return sums[ends] - sums[starts]
