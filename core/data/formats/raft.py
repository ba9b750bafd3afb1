"""RAFT rows: a question, passages of which one holds the answer, and a reasoned answer with quotes.

`use` says what is learnt: `open_book` (passages and question -> reasoned answer), `format2` (the question alone),
`format3` (a task sentence and the question), or `eval` (passages and question -> the final answer, which is what a test
compares with). `format2` and `format3` are closed-book: the model sees no passages.
"""

from collections.abc import Mapping
from typing import Any

from core.data.formats.passages import fingerprint, oracle_of, tagged_documents
from core.data.formats.reader import Read
from core.data.formats.tags import final_answer
from core.data.formats.values import column, decoded, not_empty, text
from core.records import Conversation, Document, Message

USES = ("open_book", "format2", "format3", "eval")
TASK_SENTENCE = "Answer the following question."
_SOURCES = ("source", "file", "document", "doc_id")


def reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that reads RAFT rows; see the head of this file for `use`."""
    use, sentence = options.get("use", "open_book"), options.get("task_sentence", TASK_SENTENCE)

    def read(values: dict[str, Any], where: str) -> Conversation:
        asked = text(column(values, "question"), "question")
        answer = text(column(values, "cot_answer"), "cot_answer")
        if strict:
            not_empty("data.empty_question", asked, "question")
            not_empty("data.empty_answer", answer, "cot_answer")
        docs = documents(values, answer)
        oracle = text(values.get("oracle_context"), "oracle_context")
        if use in ("open_book", "eval"):
            asked = text(values.get("instruction"), "instruction") or open_book(docs, asked)
        elif use == "format3":
            asked = f"{sentence}\n{asked}"
        final = final_answer(answer)
        told = final if use == "eval" else answer
        return Conversation(
            (Message("user", asked), Message("assistant", told)),
            where,
            keywords=(final,) if use == "eval" and final != answer else (),
            docs=docs,
            meta=_meta(values, oracle or next((doc.text for doc in docs if doc.is_oracle), "")),
        )

    return read


def open_book(docs: tuple[Document, ...], question: str) -> str:
    """Return passages and question as RAFT writes them."""
    return "".join(f"<DOCUMENT>{doc.text}</DOCUMENT>\n" for doc in docs) + question


def documents(values: Mapping[str, Any], answer: str) -> tuple[Document, ...]:
    """Return the passages of a row, from its nested or flat `context` or from its instruction; the oracle is marked."""
    oracle = text(values.get("oracle_context"), "oracle_context")
    context = decoded(values.get("context"))
    texts, titles = [], []
    if isinstance(context, dict):
        texts, titles = _flat(context.get("sentences")), _flat(context.get("title"))
    elif isinstance(context, list):
        texts = _flat(context)
    if not texts:
        found = tagged_documents(text(values.get("instruction"), "instruction"))
        texts = [each.text for each in found]
    if not texts and isinstance(context, str):
        texts = [context]
    titles = [each if each != "placeholder_title" else "" for each in titles] + [""] * (len(texts) - len(titles))
    docs = tuple(Document(each, titles[place], each == oracle) for place, each in enumerate(texts))
    return docs if oracle else oracle_of(docs, answer)


def _flat(value: Any) -> list[str]:
    """Return the texts of a list, also of a list of lists: raft.py nests them, raft_local.py does not."""
    if not isinstance(value, list):
        return []
    found: list[str] = []
    for each in value:
        found += _flat(each) if isinstance(each, list) else [text(each, "context")]
    return found


def _meta(values: Mapping[str, Any], oracle: str) -> dict[str, str]:
    chunk = text(values.get("chunk_id"), "chunk_id") or (fingerprint(oracle) if oracle else "")
    source = next((text(values[name], name) for name in _SOURCES if values.get(name)), "")
    return {key: each for key, each in (("group", chunk), ("source", source)) if each}
