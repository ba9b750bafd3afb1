"""X-ray: rows of the chosen set as a model reads them; `app.xray` builds the panel, this places it among the sections."""

from typing import Any

from app import xray
from app.data.stage import Stage
from core.data.registry import DatasetEntry


def build(stage: Stage) -> Any:
    """Lay out the section; the panel wires itself."""
    return xray.build(stage.studio, stage.t)


def wire(stage: Stage, section: Any) -> None:
    """The panel was wired when it was built."""


def show(stage: Stage, section: Any, entry: DatasetEntry) -> dict[Any, Any]:
    """Return the updates for a set: its first row."""
    return xray.show(stage.studio, section, entry.name, 0, stage.t)
