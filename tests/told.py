"""Rows of many kinds for the tests of recognition, and a way to read one as it was told."""

from typing import Any

from core.data.formats import Recognition, converter, recognise
from core.data.readers import Row
from core.data.reading import Reading
from core.records import Conversation, Preference, Prompt, Record, UnpairedPreference

DOCS = "<DOCUMENT>Rain falls.</DOCUMENT>\n<DOCUMENT>Sun shines.</DOCUMENT>\n"
COT = "##begin_quote##Rain falls.##end_quote## so it is wet. <ANSWER>: wet"
RAFT = {
    "id": "1",
    "type": "general",
    "question": "Why wet?",
    "context": {"title": [["placeholder_title", "Sky"]], "sentences": [["Rain falls.", "Sun shines."]]},
    "oracle_context": "Rain falls.",
    "cot_answer": COT,
    "instruction": f"{DOCS}Why wet?",
}
CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
SHARED = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
TOOL_CHAT = [
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "blue", "name": "look"},
    {"role": "assistant", "content": "a"},
]
QA = [("user", "q"), ("assistant", "a")]
CHATML = "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n"
LLAMA3 = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\na<|eot_id|>"
)


def found(*rows: dict[str, Any], name: str = "a.jsonl") -> Recognition:
    return recognise([Row(number, row) for number, row in enumerate(rows, 1)], name)


def read(told: Recognition, row: dict[str, Any], kind: str | None = None, **answers: str) -> Record:
    """Convert a row by the fit of a kind (else the first), with answers to its questions."""
    fit = next(fit for fit in told.fits if kind in (None, fit.kind))
    options = {each.key: each.default for each in fit.questions if each.default is not None}
    reading = Reading(fit.reading.format, {**fit.reading.options, **options, **answers})
    return converter(reading, "a.jsonl")(Row(1, row))


def turns(record: Record) -> list[tuple[str, str]]:
    assert isinstance(record, Conversation | UnpairedPreference | Prompt | Preference)
    return [(message.role, message.content) for message in record.messages]
