"""A run as one file that another studio can open: what was asked, what happened and what came out, but no weights.

NAME.run.zip
  bundle.json     format, name, when it was made        config.yaml     what was asked and resolved
  events.jsonl    curve and end, as the worker wrote them
  worker.log      the end of its raw output             notes.yaml      what a person wrote about the run
  scores/*.json                                         evaluations/NAME/config.yaml, and what is there of EVALUATION

Folders of this machine are shortened, and what the environment calls a key or password is masked wherever it occurs.
Opening one is the business of `unbundle`.
"""

import json
import os
import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core import yaml_text
from core.errors import RunError, problem
from core.runs.directory import Run, read_config
from core.workspace import PROJECT, Workspace

FORMAT = 1
SUFFIX = ".run.zip"
CONFIG_KEYS = ("kind", "created", "settings", "data", "model", "prompt", "versions", "plan", "findings", "continued")
EVALUATION = (  # what an evaluation leaves in its directory beside its config.yaml
    "events.jsonl", "items.jsonl", "answers.jsonl", "grades.jsonl", "votes.jsonl", "judged.jsonl", "batches.json",
)  # fmt: skip
_LOG_BYTES = 1_000_000  # of worker.log, its end; chosen by us: a trace is in it, a day of output is not
_SECRET = re.compile(r"TOKEN|KEY|SECRET|PASS|CREDENTIAL|AUTH(?!OR(?!I))", re.IGNORECASE)  # AUTHORIZATION, not AUTHOR
_IN_ADDRESS = re.compile(
    r"(?<=://)[!#-.0-\[\]-~]+@"
)  # ASCII but for blanks, quotes and slashes: other text stands around it
_SHORTEST_SECRET = 8  # characters; shorter values of such variables occur in ordinary words


def write(workspace: Workspace, run: Run, file: Path) -> Path:
    """Write the bundle of a run into `file`, complete or not at all, and return it.

    Raises:
        RunError: if the run has not begun: there is nothing to tell; or no file can be at this place.
    """
    if not run.log.exists():
        raise RunError(problem("bundle.not_begun", run.name))
    if file.is_dir() or not file.parent.is_dir():
        raise RunError(problem("bundle.no_place", str(file), name=f"{run.name}{SUFFIX}"))
    aside = file.with_name(file.name + ".part")
    try:
        _pack(workspace, run, aside)
        return aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


def _pack(workspace: Workspace, run: Run, file: Path) -> None:
    clean = _Cleaner(workspace)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        made = {"format": FORMAT, "run": run.name, "made": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        archive.writestr("bundle.json", json.dumps(made, ensure_ascii=False, indent=1))
        archive.writestr("config.yaml", yaml_text.dump(_portable(run.config, clean)))
        for place, text in _texts(run):
            archive.writestr(place, clean(text))


def _texts(run: Run) -> Iterator[tuple[str, str]]:
    for name in ("events.jsonl", "notes.yaml"):
        if (run.path / name).exists():
            yield name, _read(run.path / name)
    if (run.path / "worker.log").exists():
        yield "worker.log", _end_of(run.path / "worker.log")
    for score in sorted(run.path.glob("scores/*.json")):
        yield f"scores/{score.name}", _read(score)
    for job in run.jobs("evaluations"):
        if not (job / "events.jsonl").exists():  # it waits, and would wait for ever elsewhere
            continue
        yield f"evaluations/{job.name}/config.yaml", yaml_text.dump({**read_config(job), "workspace": "", "allow": []})
        for name in EVALUATION:
            if (job / name).exists():
                yield f"evaluations/{job.name}/{name}", _read(job / name)


def _portable(config: dict[str, Any], clean: "_Cleaner") -> dict[str, Any]:
    """Return the config without this machine: a data set is its name and hash, a model its path and fingerprint."""
    kept: dict[str, Any] = {key: config[key] for key in CONFIG_KEYS if key in config}
    settings = {**config["settings"], "model": dict(config["settings"].get("model") or {})}
    if "path" in settings["model"]:
        settings["model"]["path"] = clean.model(settings["model"]["path"])
    kept["settings"] = settings
    kept["model"] = {**config["model"], "path": clean.model(config["model"]["path"]), "folder": None}
    kept["data"] = [{**each, "file": Path(str(each.get("file", ""))).name} for each in config["data"]]
    cleaned: dict[str, Any] = json.loads(clean(json.dumps(kept, ensure_ascii=False, default=str)))
    return {**cleaned, "prompt": config["prompt"]}  # verbatim: its hash is over every character


class _Cleaner:
    """Shortens folders of this machine and masks secrets in a text."""

    def __init__(self, workspace: Workspace) -> None:
        self._root = workspace.root
        folders = [(str(workspace.root), "WORKSPACE"), (str(PROJECT), "STUDIO"), (str(Path.home()), "~")]
        known = sorted(((a, b) for a, b in folders if len(a) > 1), key=lambda each: -len(each[0]))
        self._folders = [(_folder(spelled), name) for folder, name in known for spelled in _spellings(folder)]
        secrets = [
            value for name, value in os.environ.items() if _SECRET.search(name) and len(value) >= _SHORTEST_SECRET
        ]
        # The longest first: a shorter one may be a part of it, and would leave the rest.
        self._secrets = sorted({each for value in secrets for each in _spellings(value)}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for folder, name in self._folders:
            text = folder.sub(name, text)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _IN_ADDRESS.sub("***@", text)

    def model(self, path: str) -> str:
        """Return a model's path as another machine may have it: below the workspace, or the last part of a folder's."""
        given = Path(path)
        if not given.is_absolute():
            return path
        if given.is_relative_to(self._root):
            return given.relative_to(self._root).as_posix()
        return given.relative_to(PROJECT).as_posix() if given.is_relative_to(PROJECT) else given.name


def _folder(path: str) -> re.Pattern[str]:
    """Return what finds a folder, but not the beginning or the end of another one's path; JSON may have "\\n" before it."""
    return re.compile(rf"(?:(?<![A-Za-z0-9_.\-])|(?<=\\[nrt])){re.escape(path)}(?![A-Za-z0-9_\-])(?!\.[A-Za-z0-9_])")


def _spellings(text: str) -> set[str]:
    """Return how a text stands in a log and in a JSON file."""
    return {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _end_of(file: Path) -> str:
    with file.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, 2) - _LOG_BYTES))
        return stream.read().decode("utf-8", errors="replace")
