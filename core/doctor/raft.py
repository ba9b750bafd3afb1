"""RAFT rows: questions with passages, answers that quote them and end with the answer proper."""

import re
from collections.abc import Iterable
from typing import Any

from core.data.overlap import plain
from core.doctor.report import Finding, Tally, excerpt, found, percent
from core.doctor.source import Seen, without_documents
from core.progress import Progress
from core.records import Conversation

MARK = "<ANSWER>:"
_QUOTE = re.compile(r"##begin_quote##(.*?)##end_quote##", re.DOTALL)
_DOCUMENT = re.compile(r"<DOCUMENT>(.*?)</DOCUMENT>", re.DOTALL)


class Raft:
    """Whether answers end as they should, quote what is shown, and have their passage among those shown."""

    def __init__(self) -> None:
        self._marked = 0
        self._shown = 0
        self._absent = 0
        self._known = 0
        self._unmarked = Tally("raft_no_answer")
        self._quotes = Tally("raft_quotes")
        self._twice = Tally("raft_same_passage")
        self._begged = Tally("raft_question_in_passage")

    def see(self, seen: Seen) -> None:
        record = seen.record
        if not isinstance(record, Conversation):
            return
        shown = passages_shown(seen)
        marked = MARK in seen.answer
        if not (shown or record.docs or marked or "##begin_quote##" in seen.answer):
            return
        self._marked += marked
        if not marked:
            self._unmarked.add(seen.place, seen.answer[-200:])
        if not shown:
            return
        self._shown += 1
        oracles = [each.text for each in record.docs if each.is_oracle]
        if record.docs:
            self._known += 1
            self._absent += not any(plain(oracle) in map(plain, shown) for oracle in oracles)
        if missing := missing_quote(seen.answer, shown):
            self._quotes.add(seen.place, excerpt(missing))
        if len({plain(each) for each in shown}) < len(shown):
            self._twice.add(seen.place, shown[0])
        question = plain(without_documents(seen.question))
        if len(question) >= 20 and any(question in plain(each) for each in shown if each not in oracles):
            self._begged.add(seen.place, question)

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        if self._marked and self._unmarked.count:
            yield self._unmarked.finding(share=percent(self._unmarked.count, self._marked + self._unmarked.count))
        for tally in (self._quotes, self._twice, self._begged):
            if tally.count:
                yield tally.finding(share=percent(tally.count, self._shown))
        if self._absent:
            yield found("raft_no_oracle", self._absent, share=percent(self._absent, self._known))

    def stats(self) -> dict[str, Any]:
        if not self._shown:
            return {}
        return {"raft": {"rows": self._shown, "oracle_shown": self._known - self._absent, "oracle_known": self._known}}


def passages_shown(seen: Seen) -> list[str]:
    """Return the passages that stand in the question."""
    tagged = _DOCUMENT.findall(seen.question)
    if tagged or not isinstance(seen.record, Conversation):
        return [each.strip() for each in tagged]
    return [each.text for each in seen.record.docs if each.text and each.text in seen.question]


def missing_quote(answer: str, shown: list[str]) -> str:
    """Return the first quote of an answer that stands in none of the passages, or ""."""
    passages = [plain(each) for each in shown]
    for quote in _QUOTE.findall(answer):
        if plain(quote) and not any(plain(quote) in each for each in passages):
            return quote.strip()
    return ""
