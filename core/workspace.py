"""The one root: where data sets, models, runs and prompts lie, and the jail that keeps paths inside.

WORKSPACE/
  dataset_info.json  data/      the person's own data sets (the samples are read from the project)
  accepted.json                 which of the doctor's findings were accepted, by the SHA-1 of the content
  prompts/                      system prompts, one folder a name, one file a version
  models/                       merged models
  runs/                         a folder a run
  experiments/                  a folder an experiment: several runs that answer one question
  jobs/                         a folder a job on data: adding, checking, fixing, exporting …
  cache/                        what can be computed again: row indexes, reports, tokens; may be deleted at any time
  trash/                        what was deleted, until the person empties it
"""

import errno
import re
import shutil
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from core.errors import PathError, ResourceError, problem

PROJECT = Path(__file__).parent.parent
SAMPLES = PROJECT / "data"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, a person's share of it, the largest file allowed
_NAME = re.compile(r"[\w][\w.\- ]{0,79}", re.UNICODE)


@dataclass(frozen=True)
class Workspace:
    """`allow` are further folders that whoever starts the studio opened for reading models and data."""

    root: Path
    allow: tuple[Path, ...] = ()

    @classmethod
    def at(cls, root: str | Path, allow: tuple[str | Path, ...] = ()) -> "Workspace":
        """Open (and create where needed) the workspace in `root`."""
        path = Path(root).expanduser().resolve()
        try:
            for folder in ("data", "prompts", "models", "runs"):
                (path / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PathError(problem("path.workspace", str(path), reason=error.strerror or str(error))) from error
        return cls(path, tuple(Path(each).expanduser().resolve() for each in allow))

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def experiments(self) -> Path:
        return self.root / "experiments"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def prompts(self) -> Path:
        return self.root / "prompts"

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def trash(self) -> Path:
        return self.root / "trash"

    def readable(self, path: str | Path) -> Path:
        """Resolve a path for reading: relative ones against the workspace, then the project's samples.

        Symlinks are followed before the check, so that a link cannot lead out.

        Raises:
            PathError: if it lies outside the workspace, the samples and the allowed folders.
        """
        given = _home(path)
        candidates = [given] if given.is_absolute() else [self.root / given, PROJECT / given]
        resolved = [_resolve(each) for each in candidates]
        inside = [each for each in resolved if any(each.is_relative_to(root) for root in self._roots())]
        if not inside:
            raise PathError(problem("path.outside", str(path), root=str(self.root)))
        return next((each for each in inside if _exists(each)), inside[0])

    def writable(self, path: str | Path) -> Path:
        """Resolve a path for writing: it must lie in the workspace or in an allowed folder.

        Raises:
            PathError: if it does not.
        """
        given = _home(path)
        resolved = _resolve(given if given.is_absolute() else self.root / given)
        if not any(resolved.is_relative_to(root) for root in (self.root, *self.allow)):
            raise PathError(problem("path.outside", str(path), root=str(self.root)))
        return resolved

    def named(self, folder: Path, name: str) -> Path:
        """Return `folder/name` for a name that a person typed.

        Raises:
            PathError: if the name has separators, leading dots or characters that are not letters, digits, ` ._-`.
        """
        return folder / checked_name(name)

    def _roots(self) -> tuple[Path, ...]:
        return (self.root, SAMPLES.resolve(), *self.allow)


def checked_name(name: str) -> str:
    """Return the name in Unicode's composed form when it can name a folder, else raise `PathError`."""
    clean = unicodedata.normalize("NFC", name.strip())
    if not _NAME.fullmatch(clean) or clean.endswith("."):
        raise PathError(problem("path.name", name=name))
    return clean


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def slug(text: str) -> str:
    """Return a name made from any text: lower case, `_` for what a name cannot hold."""
    return re.sub(r"[^\w]+", "_", unicodedata.normalize("NFC", text).lower()).strip("_")[:40] or "unnamed"


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Check that `needed` bytes are free where `folder` lies.

    Raises:
        ResourceError: with what is free and what is needed.
    """
    place = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise ResourceError(
            problem("disk.full", str(place), purpose=purpose, free=round(free / 1e6), needed=round(needed / 1e6))
        )


def _resolve(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL character
        raise PathError(problem("path.outside", repr(str(path)), root="")) from error


def _home(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # "~somebody" who is not there
        raise PathError(problem("path.outside", str(path), root="")) from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # no permission to look, or a name longer than the system takes
        raise PathError(problem("path.unreadable", str(path), reason=error.strerror or str(error))) from error
