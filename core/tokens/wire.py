"""What passes between the process that reads rows and those that encode them: rows as JSON, encoded rows as their bytes."""

import json
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
import orjson

from core.errors import Problem
from core.records import Conversation, Message, Preference, Record, Text, ToolCall, UnpairedPreference
from core.tokens.encoder import ROW, Block


def packed(records: Sequence[Record | None]) -> bytes:
    """Return rows as one line: what their tokens depend on, and nothing else."""
    return orjson.dumps([_row(record) for record in records]) + b"\n"


def unpacked(line: bytes) -> list[Record | None]:
    """Return the rows of a line that `packed` made."""
    return [_record(values) for values in orjson.loads(line)]


def send(block: Block, out: IO[bytes]) -> None:
    """Write encoded rows: a line of JSON, then the bytes of the arrays."""
    failures = [(number, kind, problem.to_dict()) for number, kind, problem in block.failures]
    head = {"rows": len(block.rows), "tokens": len(block.ids), "names": block.names, "failures": failures}
    out.write(json.dumps(head).encode() + b"\n")
    for array in (block.rows, block.lengths, block.ids, block.learnt):
        out.write(array.tobytes())
    out.flush()


def receive(stream: IO[bytes]) -> Block:
    """Read what `send` wrote.

    Raises:
        EOFError: if the sender has ended.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    head = json.loads(line)
    arrays = [_array(stream, head[key], kind) for key, kind in
              (("rows", ROW), ("rows", np.int64), ("tokens", np.int32), ("tokens", np.bool_))]  # fmt: skip
    failures = tuple((number, kind, Problem(**values)) for number, kind, values in head["failures"])
    return Block(arrays[0], arrays[1], arrays[2], arrays[3], tuple(head["names"]), failures)


def _array(stream: IO[bytes], count: int, kind: Any) -> np.ndarray:
    size = count * np.dtype(kind).itemsize
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return np.frombuffer(bytearray(data), kind)


def _row(record: Record | None) -> Any:
    match record:
        case Conversation() | UnpairedPreference():
            kind = "chat" if isinstance(record, Conversation) else "unpaired"
            return [kind, record.tools, _turns(record.messages)]
        case Preference():
            return ["preference", record.tools, *map(_turns, (record.messages, record.chosen, record.rejected))]
        case Text():
            return ["text", record.text]
    return None


def _record(values: Any) -> Record | None:
    match values:
        case ["chat", tools, turns]:
            return Conversation(_messages(turns), tools=tools)
        case ["unpaired", tools, turns]:
            return UnpairedPreference(messages=_messages(turns), desirable=True, tools=tools)
        case ["preference", tools, *turns]:
            asked, chosen, rejected = map(_messages, turns)
            return Preference(messages=asked, chosen=chosen, rejected=rejected, tools=tools)
        case ["text", text]:
            return Text(text=text)
    return None


def _turns(messages: Sequence[Message]) -> list[Any]:
    return [
        [
            each.role,
            each.content,
            each.name,
            each.train,
            [[call.name, call.arguments, call.id] for call in each.tool_calls],
        ]
        for each in messages
    ]


def _messages(turns: Sequence[Any]) -> tuple[Message, ...]:
    return tuple(
        Message(role, content, tuple(ToolCall(*call) for call in calls), name, train)
        for role, content, name, train, calls in turns
    )
