"""Who a run was trained to be: name and maker, from the data that it learnt."""

from collections.abc import Sequence
from contextlib import suppress

from core.data.entry import DatasetEntry
from core.data.identity import teaches_identity
from core.data.identity_sets import PROBES, SAMPLE
from core.data.page import page_of
from core.data.registry import Registry
from core.errors import StudioError
from core.evaluate.probes.introductions import same_everywhere
from core.records import Conversation
from core.runs.directory import Run, find
from core.workspace import Workspace

_LOOKED_AT = 400  # rows of a set; chosen by us: identity sets are smaller, and most answers decide
_DEEPEST = 20  # runs that went on from each other; a circle made by hand ends here
_PROBES_OF = PROBES.removeprefix(SAMPLE)  # what the probe set of a set is called behind its name: "_test"


def who_it_should_be(workspace: Workspace, run: Run) -> tuple[str, str] | None:
    """Return name and maker that a run, or one that it went on from, was taught; None where no identity was.

    The keywords of the probe set that was made with the identity set tell exactly; else what fills the place of name and
    maker in most answers. One of the two is "" where the data do not tell it.
    """
    registry = Registry(workspace)
    for _ in range(_DEEPEST):
        for name in run.settings.data.train:
            with suppress(StudioError):  # a set may be gone or broken by now; then it tells nothing
                if found := _taught_by(workspace, registry, name):
                    return found
        if not run.settings.model.adapter:
            return None
        try:
            run = find(workspace, run.settings.model.adapter)
        except StudioError:  # it was deleted
            return None
    return None


def _taught_by(workspace: Workspace, registry: Registry, name: str) -> tuple[str, str] | None:
    entry = registry.get(name)
    if not teaches_identity(workspace, entry):
        return None
    with suppress(StudioError):
        if found := _of_keywords(_rows(workspace, registry.get(f"{name}{_PROBES_OF}"))):
            return found
    found = same_everywhere([row.answer for row in _rows(workspace, entry)])
    return found if any(found) else None


def _rows(workspace: Workspace, entry: DatasetEntry) -> list[Conversation]:
    return [row for _, row in page_of(workspace, entry, 0, _LOOKED_AT) if isinstance(row, Conversation)]


def _of_keywords(rows: Sequence[Conversation]) -> tuple[str, str] | None:
    """Return name and maker from keywords such as [Lumen, Aurora Labs] beside [Aurora Labs]; None where they are others."""
    pairs = {row.keywords for row in rows if len(row.keywords) == 2}
    alone = {row.keywords for row in rows if len(row.keywords) == 1}
    if len(pairs) != 1:
        return None
    name, maker = pairs.pop()
    return (name, maker) if alone <= {(name,), (maker,)} and "{{" not in name + maker else None
