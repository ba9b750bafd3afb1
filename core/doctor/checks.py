"""Which checks a data set gets."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

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
from core.doctor.text import Characters, Residue
from core.doctor.tokens import Tokens
from core.progress import Progress


class Check(Protocol):
    """One theme: it sees every usable row once, then tells what it found among that many rows."""

    def see(self, seen: Seen) -> None: ...

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]: ...

    def stats(self) -> dict[str, Any]: ...


def checks_for(
    entry: DatasetEntry,
    model: Path | None,
    system_prompt: str | None,
    cutoff_len: int | None,
    against: Sequence[DatasetEntry],
) -> list[Check]:
    """Return the checks in the order in which they run."""
    tokens = [Tokens(model, system_prompt, cutoff_len)] if model else []
    control = tokens[0].tokenizer.control_tokens if tokens else ()
    checks: list[Check] = [*tokens, Characters(), Residue(control), Secrets(), Lengths(), Repetition(), Sameness()]
    checks += [Languages(), Balance(), Raft(), Pairs(), NearDuplicates()]
    if against or entry.parts:
        checks.append(Contamination(entry, against))
    return checks
