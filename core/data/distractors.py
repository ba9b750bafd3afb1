"""RAFT rows anew: the same question among the same passages in another order, some of them exchanged for others.

The passage that holds the answer stays, wherever it ends up, so that the model learns to look for it and not where it stood.
"""

import re
from collections import deque
from dataclasses import dataclass, replace
from random import Random

from core.data.split import group_of
from core.records import Conversation, Document

_REMEMBERED = 500  # passages of other rows to exchange with; chosen by us: enough to differ, little to hold
_EXCHANGED = 0.5  # of the distractors, at most
_COUNTED = re.compile(
    r"(?i)\b(?:document|doc|passage|context)s?\s*\[?#?\d|文档\s*\[?\d|第[一二三四五六七八九十\d]+[篇段份]"
)


@dataclass(frozen=True)
class _Passage:
    group: str
    text: str


class Distractors:
    """Remembers passages of the rows that went by, and reshuffles rows with them."""

    def __init__(self) -> None:
        self._pool: deque[_Passage] = deque(maxlen=_REMEMBERED)

    def see(self, record: Conversation) -> None:
        """Remember the passages of a row."""
        group = group_of(record)
        self._pool.extend(_Passage(group, doc.text) for doc in record.docs if doc.text)

    def reshuffled(self, record: Conversation, chance: Random) -> Conversation | None:
        """Return the row with its passages in another order, some distractors exchanged; None where that cannot be done.

        That is so where the passages do not stand in the question word for word, or the answer counts them.
        """
        at, content = next(((i, m.content) for i, m in enumerate(record.messages) if m.role == "user"), (0, ""))
        slots = _slots(content, record.docs)
        if slots is None or len(slots) < 2 or any(_COUNTED.search(m.content) for m in record.messages[at + 1 :]):
            return None
        docs = self._exchanged(record, chance)
        chance.shuffle(docs)
        if [doc.text for doc in docs] == [doc.text for doc in record.docs]:
            docs = [*docs[1:], docs[0]]
        pieces, end = [], 0
        for (start, stop), doc in zip(slots, docs, strict=True):
            pieces += [content[end:start], doc.text]
            end = stop
        asked = replace(record.messages[at], content="".join((*pieces, content[end:])))
        return replace(record, messages=(*record.messages[:at], asked, *record.messages[at + 1 :]), docs=tuple(docs))

    def _exchanged(self, record: Conversation, chance: Random) -> list[Document]:
        """Return the passages with up to half of the distractors exchanged; all stay where no oracle is marked."""
        docs = list(record.docs)
        others = [number for number, doc in enumerate(docs) if not doc.is_oracle]
        if len(others) == len(docs):  # the oracle was left out on purpose, or is not marked
            return docs
        group, answer = group_of(record), record.answer.casefold()
        present = {doc.text for doc in docs}
        fresh = [each.text for each in self._pool if each.group != group and each.text not in present]
        fresh = [text for text in dict.fromkeys(fresh) if not answer or answer not in text.casefold()]
        wanted = min(len(fresh), int(len(others) * _EXCHANGED + 0.5))
        for number, text in zip(chance.sample(others, wanted), chance.sample(fresh, wanted), strict=True):
            docs[number] = Document(text)
        return docs


def _slots(content: str, docs: tuple[Document, ...]) -> list[tuple[int, int]] | None:
    """Return the [start, end) of each passage in the question, in order; None unless all stand there, apart, untitled."""
    found = []
    end = 0
    for doc in docs:
        start = content.find(doc.text, end)
        if not doc.text or start < 0 or (doc.title and doc.title in content):
            return None
        end = start + len(doc.text)
        found.append((start, end))
    return found
