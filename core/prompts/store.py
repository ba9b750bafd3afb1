"""System prompts: named texts whose versions are never changed.

    WORKSPACE/prompts/<name>/v0001.txt, v0002.txt …     write-once files, so that a run's prompt can be found again

Built-ins come from data/prompts.yaml and are version 1; saving under their name makes version 2 in the workspace. "none"
is the choice of no system prompt at all.
"""

import difflib
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from core.errors import SettingsError, problem
from core.placeholders import blanks_in, fill_text
from core.workspace import SAMPLES, Workspace, checked_name, is_name

NONE = "none"
BUILT_INS = SAMPLES / "prompts.yaml"
_FILE = re.compile(r"v(\d{4,})\.txt")


@dataclass(frozen=True)
class SystemPrompt:
    """`text` is None for "none"; `sha256` is over the verbatim text, "" for none."""

    name: str
    version: int
    text: str | None
    sha256: str


class PromptStore:
    """The built-in prompts and those of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def names(self) -> list[str]:
        """Return "none", the built-ins, then the person's own by name."""
        folders = sorted(folder.name for folder in self._workspace.prompts.iterdir() if folder.is_dir())
        own = [name for name in folders if is_name(name) and name not in built_ins() and self._saved(name)]
        return [NONE, *built_ins(), *own]

    def versions(self, name: str) -> list[int]:
        """Return the versions of a prompt, oldest first.

        Raises:
            SettingsError: if there is no prompt of this name.
        """
        found = [1] if name == NONE or name in built_ins() else []
        if name != NONE:
            found += sorted(self._saved(name))
        if not found:
            close = difflib.get_close_matches(name, self.names(), n=1, cutoff=0.5)
            known = close[0] if close else ", ".join(self.names())
            raise SettingsError(problem("prompt.unknown_close" if close else "prompt.unknown", name, known=known))
        return found

    def get(self, name: str, version: int | None = None, blanks: Mapping[str, str] | None = None) -> SystemPrompt:
        """Return a prompt, the newest version unless told otherwise, with its blanks filled.

        Without `blanks` (None) a prompt that has some is refused; `raw` gives the text as it was written.

        Raises:
            SettingsError: if there is no such name or version, or a blank stays unfilled.
        """
        number, text = self._text(name, version)
        if text is None:
            return SystemPrompt(NONE, 1, None, "")
        given = {key: value.strip() for key, value in (blanks or {}).items()}
        missing = sorted(blank for blank in blanks_in(text) if not given.get(blank))
        if missing:
            raise SettingsError(problem("prompt.unfilled_blank", name, blanks=", ".join(missing)))
        return _prompt(name, number, fill_text(text, given))

    def raw(self, name: str, version: int | None = None) -> SystemPrompt:
        """Return a prompt with its blanks unfilled, for editing."""
        number, text = self._text(name, version)
        return SystemPrompt(NONE, 1, None, "") if text is None else _prompt(name, number, text)

    def save(self, name: str, text: str) -> SystemPrompt:
        """Write the next version of a prompt; text that is the newest version's already returns that one.

        Raises:
            PathError: if the name cannot be one.
            SettingsError: if the text is empty, or the name is "none".
        """
        name = checked_name(name)
        if name == NONE:
            raise SettingsError(problem("prompt.none_is_fixed", name))
        if not text.strip():
            raise SettingsError(problem("prompt.empty", name))
        if name in built_ins() or self._saved(name):
            newest = self.raw(name)
            if newest.text == text:
                return newest
        folder = self._workspace.named(self._workspace.prompts, name)
        folder.mkdir(exist_ok=True)
        while True:
            number = max([*self._saved(name), 1 if name in built_ins() else 0]) + 1
            try:
                with (folder / f"v{number:04d}.txt").open("x", encoding="utf-8", newline="") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
            except FileExistsError:  # somebody else saved at the same moment: theirs is this number, ours the next
                continue
            return _prompt(name, number, text)

    def _text(self, name: str, version: int | None) -> tuple[int, str | None]:
        versions = self.versions(name)
        number = versions[-1] if version is None else version
        if number not in versions:
            known = ", ".join(map(str, versions))
            raise SettingsError(problem("prompt.no_version", name, version=number, known=known))
        if name == NONE:
            return 1, None
        file = self._saved(name).get(number)
        return number, built_ins()[name] if file is None else file.read_bytes().decode("utf-8")

    def _saved(self, name: str) -> dict[int, Path]:
        folder = self._workspace.named(self._workspace.prompts, name)
        files = folder.iterdir() if folder.is_dir() else ()
        return {int(found[1]): file for file in files if (found := _FILE.fullmatch(file.name))}


@lru_cache
def built_ins() -> dict[str, str]:
    """Return name -> text of the prompts that come with the studio."""
    return yaml.safe_load(BUILT_INS.read_text(encoding="utf-8"))


def _prompt(name: str, number: int, text: str) -> SystemPrompt:
    return SystemPrompt(name, number, text, hashlib.sha256(text.encode()).hexdigest())
