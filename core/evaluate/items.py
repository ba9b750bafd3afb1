"""What an evaluation asks: rows of test sets and questions of the probes, written down once before the first answer."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from core.records import Document, Message, ToolCall

FILE = "items.jsonl"
Kind = Literal["data", "identity", "kept"]
OTHER_PROMPTS = ("none", "default")  # values of `under` that leave the system prompt of the run out


@dataclass(frozen=True)
class Item:
    """One question, the same for every model that is asked.

    `key` is unique in an evaluation; `source` is the data set's name, or the probe's. `row` counts from 1 in its source;
    `where` is `file:line`. `tag` is a task, an ability or a kind of question. `under` names the system prompt of a question
    that a probe asks under several: `trained`, `none` or `default`. `keywords` must occur in a right answer.
    """

    key: str
    source: str
    row: int
    messages: tuple[Message, ...]
    expected: str
    kind: Kind = "data"
    where: str = ""
    tag: str = ""
    under: str = ""
    keywords: tuple[str, ...] = ()
    tools: str = ""
    docs: tuple[Document, ...] = ()

    @property
    def question(self) -> str:
        """The question as a person reads it: the user's words, and who spoke where there were several turns."""
        spoken = [message for message in self.messages if message.role != "system"]
        if len(spoken) == 1:
            return spoken[0].content
        return "\n".join(f"{message.role}: {message.content}" for message in spoken)

    def asked_under(self, prompt: str | None) -> "Item":
        """Return the item as it is asked of a model under its system prompt; a message of the item's own stays."""
        if not prompt or self.under in OTHER_PROMPTS or (self.messages and self.messages[0].role == "system"):
            return self
        return replace(self, messages=(Message("system", prompt), *self.messages))


def write(job: Path, items: Sequence[Item]) -> None:
    """Write the items of a job, complete or not at all."""
    aside = job / f"{FILE}.part"
    with aside.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(_short(asdict(item)), ensure_ascii=False) + "\n" for item in items)
    aside.replace(job / FILE)


def read(job: Path) -> list[Item]:
    """Return the items of a job, none before they are written."""
    try:
        return list(_items((job / FILE).read_bytes().split(b"\n")))
    except FileNotFoundError:
        return []


def _items(lines: Iterable[bytes]) -> Iterable[Item]:
    for line in lines:
        if line:
            values: dict[str, Any] = json.loads(line)
            values["messages"] = tuple(_message(each) for each in values["messages"])
            values["docs"] = tuple(Document(**each) for each in values.get("docs", ()))
            values["keywords"] = tuple(values.get("keywords", ()))
            yield Item(**values)


def _message(values: dict[str, Any]) -> Message:
    calls = tuple(ToolCall(**each) for each in values.get("tool_calls", ()))
    return Message(**{**values, "tool_calls": calls})


def _short(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is empty."""
    kept = {key: each for key, each in values.items() if each or key in ("expected", "messages")}
    return {**kept, "messages": [{"content": "", **{k: v for k, v in m.items() if v}} for m in kept["messages"]]}
