"""Passages that come with a question: taken out of `<DOCUMENT>` tags, and the group that keeps copies of one together."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from core.records import Conversation, Document

_TAGGED = re.compile(r"<DOCUMENT>(.*?)</DOCUMENT>", re.DOTALL)
_QUOTE = re.compile(r"##begin_quote##(.*?)##end_quote##", re.DOTALL)


def tagged_documents(text: str) -> tuple[Document, ...]:
    """Return the passages that a text holds in `<DOCUMENT>` tags."""
    return tuple(Document(found) for found in _TAGGED.findall(text))


def oracle_of(docs: Sequence[Document], answer: str) -> tuple[Document, ...]:
    """Return the passages with the one marked that the answer quotes; unmarked where none is."""
    quotes = [" ".join(quote.split()) for quote in _QUOTE.findall(answer)]
    plain = [" ".join(doc.text.split()) for doc in docs]
    quoted = {place for place, text in enumerate(plain) for quote in quotes[:1] if quote and quote in text}
    return tuple(replace(doc, is_oracle=place in quoted) for place, doc in enumerate(docs))


def with_passages(record: Conversation) -> Conversation:
    """Return a conversation with the passages that its questions hold in `<DOCUMENT>` tags, and their group."""
    asked = "\n".join(message.content for message in record.question)
    docs = oracle_of(tagged_documents(asked), record.answer)
    return replace(record, docs=docs, meta={**record.meta, **group_of(docs)})


def group_of(docs: Iterable[Document]) -> dict[str, str]:
    """Return the `meta` that keeps rows about the same passage on one side of a split."""
    oracle = next((doc.text for doc in docs if doc.is_oracle), "")
    return {"group": fingerprint(oracle)} if oracle else {}


def fingerprint(text: str) -> str:
    """Return a short name of a text; 64 bits, so that two texts of a million do not share one."""
    return hashlib.sha1(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
