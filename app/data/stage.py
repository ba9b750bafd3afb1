"""What the sections about the chosen data set share: which one it is, where errors go, and the job that works on it.

Each section is a module with `build(stage)`, which lays it out, `wire(stage, section)`, and `show(stage, section, entry)`,
which returns its updates for a set. Only the open section is filled: what nobody looks at is not computed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.data import jobs as data_jobs
from app.data.jobs import JobPanel
from app.notices import done
from app.studio import Studio
from core.data.registry import DatasetEntry
from core.wording import Translator


@dataclass
class Stage:
    """`chosen` and `section` are the States with the names of the chosen set and of the open section.

    `show(name, section)` returns the updates of the whole page and `outputs` are what they update; the page sets both.
    """

    studio: Studio
    t: Translator
    chosen: Any
    section: Any
    notice: Any
    work: JobPanel
    show: Callable[[str | None, str], dict[Any, Any]] = field(init=False)
    outputs: list[Any] = field(init=False)

    @property
    def inputs(self) -> set[Any]:
        return {self.chosen, self.section}

    def entry(self, values: Mapping[Any, Any]) -> DatasetEntry:
        """Return the chosen set.

        Raises:
            StudioError: if it is gone or cannot be used.
        """
        return self.studio.registry.get(values[self.chosen] or "")

    def start(self, task: str, **values: Any) -> dict[Any, Any]:
        """Start a job on the chosen set and return the updates of the job panel."""
        return data_jobs.start(self.studio, self.work, task, self.t, **values)

    def finish(self, values: Mapping[Any, Any], name: str | None, text: str) -> dict[Any, Any]:
        """Say that something worked and return the updates of the whole page, with `name` chosen."""
        done(text, self.t("language.code"))
        return self.show(name, values[self.section])
