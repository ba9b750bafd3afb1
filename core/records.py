"""What a row of data becomes, whatever file it came from.

A `Record` is one of six kinds: a `Conversation` to learn from or to be tested with, a `Preference` (DPO), an
`UnpairedPreference` (KTO), a `Text` (continued pre-training), a `Prompt` without an answer, or rows that are `Tokenised`
already. `where` is `file:line` of the source; `meta` says where a row came from (source, group, split, aug_of …) and is not
part of what two records are compared by.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
Kind = Literal["chat", "preference", "unpaired", "text", "prompt", "tokenised"]


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool. `arguments` is the JSON text of an object."""

    name: str
    arguments: str
    id: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the form that chat templates read: OpenAI's, with the arguments as an object."""
        function = {"name": self.name, "arguments": json.loads(self.arguments)}
        return {**({"id": self.id} if self.id else {}), "type": "function", "function": function}


@dataclass(frozen=True)
class Message:
    """One turn. `name` is the tool or speaker; an assistant turn with `train` False is context and not learnt."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = ""
    train: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return the form that chat templates read."""
        optional = {"tool_calls": [call.to_dict() for call in self.tool_calls], "name": self.name}
        return {"role": self.role, "content": self.content} | {key: each for key, each in optional.items() if each}


@dataclass(frozen=True)
class Document:
    """A passage that was put before a question. `is_oracle` tells the one that holds the answer."""

    text: str
    title: str = ""
    is_oracle: bool = False


@dataclass(frozen=True, kw_only=True)
class _Row:
    task: str = ""
    meta: dict[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Conversation(_Row):
    """Messages in order, an optional system message first.

    `keywords` are strings that a right answer contains; only test sets have them. `tools` is a JSON list of the tools on
    offer, `label` the class of a classification row, `docs` the passages of a RAFT or reading row.
    """

    messages: tuple[Message, ...]
    where: str = ""
    keywords: tuple[str, ...] = field(default=())
    tools: str = ""
    label: str = ""
    docs: tuple[Document, ...] = ()

    @property
    def answer(self) -> str:
        """The last assistant message: what a test compares with."""
        return next((m.content for m in reversed(self.messages) if m.role == "assistant"), "")

    @property
    def question(self) -> tuple[Message, ...]:
        """Everything before the last assistant message: what a model is asked."""
        last = max((i for i, m in enumerate(self.messages) if m.role == "assistant"), default=len(self.messages))
        return self.messages[:last]

    def with_system(self, text: str | None) -> "Conversation":
        """Return the conversation under a system prompt. A system message that the row brings itself stays."""
        if not text or (self.messages and self.messages[0].role == "system"):
            return self
        return replace(self, messages=(Message("system", text), *self.messages))


@dataclass(frozen=True, kw_only=True)
class Preference(_Row):
    """The same question with a better and a worse answer (each usually one assistant message)."""

    messages: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    where: str = ""
    tools: str = ""


@dataclass(frozen=True, kw_only=True)
class UnpairedPreference(_Row):
    """A conversation whose last answer is wanted or not."""

    messages: tuple[Message, ...]
    desirable: bool
    where: str = ""
    tools: str = ""


@dataclass(frozen=True, kw_only=True)
class Text(_Row):
    """Running text without turns."""

    text: str
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class Prompt(_Row):
    """A question without an answer."""

    messages: tuple[Message, ...]
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class Tokenised(_Row):
    """Token ids of a tokenizer that the file does not name; labels of -100 are not learnt."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    where: str = ""


Record = Conversation | Preference | UnpairedPreference | Text | Prompt | Tokenised
_KINDS: dict[type, Kind] = {
    Conversation: "chat",
    Preference: "preference",
    UnpairedPreference: "unpaired",
    Text: "text",
    Prompt: "prompt",
    Tokenised: "tokenised",
}


def kind_of(record: Record) -> Kind:
    return _KINDS[type(record)]
