"""What a row of data becomes, whatever file it came from."""

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    role: Role
    content: str

    def to_dict(self) -> dict[str, str]:
        """Return the form that chat templates read."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class Conversation:
    """Messages in order, an optional system message first. `where` is `file:line` (or `file:row`) of the source.

    `keywords` are strings that a right answer contains; only test sets have them.
    """

    messages: tuple[Message, ...]
    where: str = ""
    keywords: tuple[str, ...] = field(default=())

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
        return Conversation((Message("system", text), *self.messages), self.where, self.keywords)
