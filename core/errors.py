"""Errors that a person who does not program can act on.

    StudioError            base of everything the studio raises on purpose
    ├── SettingsError      a setting has a value that cannot be used
    ├── DataError          a data file, an entry of the registry or a row
    ├── ModelError         a model folder or its template
    ├── PathError          a name or path outside of what the studio may touch
    ├── RunError           a run, an evaluation or a merge
    └── ResourceError      disk, memory, port

An error is a code and its values; the three sentences (what happened, why, what to do) stand in the locale files under
`error.<code>.what`, `.why` and `.fix`, so that they exist in every language.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from core.wording import Translator, joined, words


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `where` is a setting's name, or file:line; `values` fill the blanks of the sentences.

    A value that is a mapping counts things by the keys of their names in the locale files: {"personal.phone": 3}.
    """

    code: str
    where: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    def sentences(self, language: str = "en") -> tuple[str, str, str]:
        """Return what happened, why, and what to do."""
        t = words(language)
        return tuple(t(f"error.{self.code}.{part}", **self._blanks(t)) for part in ("what", "why", "fix"))  # type: ignore[return-value]

    def say(self, language: str = "en") -> str:
        """Return the whole message as one paragraph, led by the place."""
        place = f"{self.where}: " if self.where else ""
        return place + joined(self.sentences(language), language)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def _blanks(self, t: Translator) -> dict[str, Any]:
        said = {key: _counted(value, t) if isinstance(value, dict) else value for key, value in self.values.items()}
        return {"where": self.where, **said}


def _counted(counts: dict[str, int], t: Translator) -> str:
    return ", ".join(f"{t(key)} {count}" for key, count in counts.items())


def problem(code: str, where: str = "", **values: Any) -> Problem:
    """Return a Problem; shorthand for the place where it is raised."""
    return Problem(code, where, values)


class StudioError(Exception):
    """Base of every error the studio raises on purpose. Holds all problems, not only the first."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__(*problems)

    def say(self, language: str = "en") -> str:
        return "\n".join(one.say(language) for one in self.problems)

    def __str__(self) -> str:
        return self.say()


class SettingsError(StudioError):
    """One or more settings have a value that cannot be used."""


class DataError(StudioError):
    """A data file, an entry of the registry or a row cannot be used."""


class ModelError(StudioError):
    """A model folder cannot be used."""


class PathError(StudioError):
    """A name or path leads outside of what the studio may touch."""


class RunError(StudioError):
    """A run, evaluation or merge cannot do what was asked."""


class ResourceError(StudioError):
    """The machine lacks something: disk, memory, a port."""
