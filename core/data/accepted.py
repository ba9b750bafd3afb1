"""Which of the doctor's findings a person accepted, by the SHA-1 of the content: WORKSPACE/accepted.json.

`CODE`, or `CODE=N` for no more than N rows. Apart from the registry, so that samples can be accepted and an undone version
finds its acceptances again.
"""

from collections.abc import Iterable

from core.data import info_file
from core.workspace import Workspace

FILE = "accepted.json"


def read(workspace: Workspace) -> dict[str, frozenset[str]]:
    """Return SHA-1 -> what was accepted."""
    return {sha1: frozenset(codes) for sha1, codes in info_file.read(workspace.root / FILE).items()}


def add(workspace: Workspace, sha1: str, codes: Iterable[str]) -> None:
    """Record more of it."""
    with info_file.changing(workspace.root / FILE) as accepted:
        accepted[sha1] = sorted({*accepted.get(sha1, []), *codes})
