"""Which checks there are, in parts: what depends on the same things is looked at, and kept, together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict

from core.data.entry import DatasetEntry
from core.doctor.answers import Lengths, Repetition, Sameness
from core.doctor.balance import Balance
from core.doctor.copies import Contamination, NearDuplicates
from core.doctor.language import Languages
from core.doctor.preference import Pairs
from core.doctor.raft import Raft
from core.doctor.report import Finding
from core.doctor.secrets import Secrets
from core.doctor.source import Seen
from core.doctor.text import Characters, ControlTokens, Residue
from core.doctor.tokens import Tokens
from core.progress import Progress
from core.render.tokenizer import ChatTokenizer

Part = Literal["structure", "leakage", "texts", "contamination", "tokens"]


class Beside(TypedDict, total=False):
    """What an examination may be asked with besides the data set, each left out or None where nobody wants it.

    `model` is a folder whose tokenizer and template say how long the rows are under `system_prompt`, and which are over
    `cutoff_len` tokens; `cache` is where the tokens are kept. `against` are test sets whose rows must not be learnt; a set's
    own test part is always looked at.
    """

    model: Path | None
    system_prompt: str | None
    cutoff_len: int | None
    cache: Path | None
    against: Sequence[DatasetEntry]


@dataclass(frozen=True)
class Asked:
    """The same, complete."""

    model: Path | None = None
    system_prompt: str | None = None
    cutoff_len: int | None = None
    cache: Path | None = None
    against: Sequence[DatasetEntry] = ()


class Check(Protocol):
    """One theme: it sees every usable row once, then tells what it found among that many rows."""

    def see(self, seen: Seen) -> None: ...

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]: ...

    def stats(self) -> dict[str, Any]: ...


def parts_of(entry: DatasetEntry, asked: Asked, thorough: bool) -> list[Part]:
    """Return the parts of an examination; one that is not thorough has those that can be told in seconds."""
    tested = bool(asked.against or entry.parts)
    wanted: dict[Part, bool] = {
        "structure": True,
        "leakage": tested,
        "texts": thorough,
        "contamination": thorough and tested,
        "tokens": thorough and asked.model is not None,
    }
    return [part for part, is_wanted in wanted.items() if is_wanted]


def checks_for(part: Part, entry: DatasetEntry, asked: Asked) -> Sequence[Check]:
    """Return the checks of a part in the order in which they run; structure and leakage have none: they see more than texts.

    Raises:
        ModelError: if the model's tokenizer or template cannot be used.
    """
    if part == "texts":
        own: list[Check] = [ControlTokens(), Characters(), Residue(), Secrets(), Lengths(), Repetition(), Sameness()]
        return [*own, Languages(), Balance(), Raft(), Pairs(), NearDuplicates()]
    if part == "contamination":
        return [Contamination(entry, asked.against)]
    if part == "tokens" and asked.model:
        control = ControlTokens(ChatTokenizer.load(asked.model).control_tokens)
        return [Tokens(entry, asked.model, asked.system_prompt, asked.cutoff_len, asked.cache), control]
    return []
