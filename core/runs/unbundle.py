"""Open the bundle of a run that somebody else sent: nothing in it is believed before it was checked.

It is unpacked into a folder of the workspace's cache, file by file and only what a bundle has, and becomes a run when all of
it is sound. Such a run has no weights and cannot be resumed; it can be looked at, compared, and trained again.
"""

import hashlib
import json
import re
import shutil
import stat
import struct
import types
import uuid
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml

from core import yaml_text
from core.errors import PathError, Problem, RunError, SettingsError, problem
from core.runs import evaluated, events, notes, trash
from core.runs.bundle import CONFIG_KEYS, EVALUATION, FORMAT, SUFFIX
from core.runs.directory import Run
from core.runs.evaluated import is_short
from core.runs.scored import MOST_SETS, is_score
from core.settings import from_dict
from core.wording import has
from core.workspace import Workspace, checked_name, slug

MOST_FILES = 2_000
MOST_BYTES = 500_000_000  # unpacked; chosen by us: the log of a million steps has 250 MB
_MOST_YAML = 2_000_000
_DEEPEST = 30  # levels of a YAML file; a config has six, and the reader in C ends the program from some ten thousand on
_MOST_LIST = 1_000_000  # bytes of the list of files; 2,000 entries have a third of that
_LARGEST = 2**63
_BOMB = 100  # times its size, from 10 MB on: text packs ten- to twentyfold
_NAME = r"[\w][\w.\- ]{0,99}"
_ALLOWED = re.compile(
    rf"bundle\.json|config\.yaml|prompt\.txt|events\.jsonl|worker\.log|notes\.yaml|scores/{_NAME}\.json"
    rf"|evaluations/{_NAME}/(config\.yaml|{'|'.join(map(re.escape, EVALUATION))})"
)
_ODD = re.compile(rb"\\u[dD]|\d{19}")  # a line without these has neither half characters nor huge numbers
_EVENTS: dict[str, Any] = {kind.event: kind for kind in get_args(events.Event)}


def open_bundle(workspace: Workspace, file: Path) -> Run:
    """Make a run of a bundle and return it; a name that is taken gets a number.

    Raises:
        RunError: if the file is not a bundle, or anything in it is not what a bundle has. Nothing was changed then.
    """
    folder = workspace.cache / "bundles" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        name = _unpacked(file, folder)
        for place in sorted(folder.rglob("*")):
            if place.is_file():
                _check(place, place.relative_to(folder).as_posix(), file.name)
        _settle(workspace, folder, file.name)
        return Run(trash.move(folder, workspace.runs, name))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpacked(file: Path, folder: Path) -> str:
    """Unpack a bundle into a folder and return the name of its run."""
    try:
        _check_end(file)
        with zipfile.ZipFile(file) as archive:
            _check_list(archive, file)
            for info in archive.infolist():
                _unpack(archive, info, folder)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # of this disk, not of the file
            raise
        raise RunError(problem("bundle.no_zip", file.name, reason=str(error)[:200])) from error
    missing = [each for each in ("bundle.json", "config.yaml", "events.jsonl") if not (folder / each).exists()]
    if missing:
        raise RunError(problem("bundle.incomplete", file.name, missing=", ".join(missing)))
    made = _json(folder / "bundle.json", file.name)
    if made.get("format") != FORMAT:
        raise RunError(problem("bundle.format", file.name, found=str(made.get("format"))[:20], known=FORMAT))
    given = str(made.get("run", ""))
    try:
        return given if checked_name(given) == given else slug(given)
    except PathError:
        return slug(file.name.removesuffix(SUFFIX))


def _check_end(file: Path) -> None:
    """Refuse a list of files that is larger than any bundle's, before it is read: each entry takes half a kilobyte of memory.

    The list's size stands in the last 22 bytes of a bundle, which has no comment behind them and no 64-bit record before.
    """
    with file.open("rb") as stream:
        whole = stream.seek(0, 2)
        stream.seek(max(0, whole - 42))
        end = stream.read()
    if len(end) < 22 or not end[-22:].startswith(b"PK\x05\x06") or not end.endswith(b"\0\0"):
        raise zipfile.BadZipFile("File is not a zip file")
    count, size, begins = struct.unpack("<HII", end[-12:-2])
    if size > _MOST_LIST or end.startswith(b"PK\x06\x07"):
        raise _too_large(file, count, whole)
    if begins + size != whole - 22:
        raise zipfile.BadZipFile("Bad offset for central directory")


def _too_large(file: Path, count: int, size: int) -> RunError:
    values = {"files": f"{count:,}", "size": f"{size / 1e6:,.0f}"}
    limits = {"most_files": f"{MOST_FILES:,}", "most": f"{MOST_BYTES / 1e6:,.0f}"}
    return RunError(problem("bundle.too_large", file.name, **values, **limits))


def _check_list(archive: zipfile.ZipFile, file: Path) -> None:
    """Refuse what no bundle has, before anything is unpacked."""
    entries = archive.infolist()
    names = [each.filename for each in entries]
    whole = sum(each.file_size for each in entries)
    if len(entries) > MOST_FILES or whole > MOST_BYTES:
        raise _too_large(file, len(entries), whole)
    packed = file.stat().st_size
    if whole > 10_000_000 and whole > _BOMB * packed:
        raise RunError(problem("bundle.bomb", file.name, packed=f"{packed / 1e6:.1f}", size=f"{whole / 1e6:,.0f}"))
    for each in entries:
        link = stat.S_IFMT(each.external_attr >> 16) not in (0, stat.S_IFREG)
        # Other ways of packing need hundreds of megabytes to unpack a few.
        odd = link or each.flag_bits & 1 or each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if not _ALLOWED.fullmatch(each.filename) or odd or names.count(each.filename) > 1:
            raise RunError(problem("bundle.foreign_file", file.name, name=each.filename[:100]))


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    """Write one file. No more than the list said is ever read."""
    target = folder / info.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, target.open("xb") as copy:
        shutil.copyfileobj(source, copy)


def _check(file: Path, place: str, bundle: str) -> None:
    """Check one file for what will be read of it later."""
    if place.endswith(".yaml"):
        _yaml(file, place, bundle)
    elif place.startswith("scores/"):
        _require(is_score(_json(file, bundle, place), file.stem), bundle, place)
    elif file.name == evaluated.LIMITS:
        _require(evaluated.are_limits(file), bundle, place)
    elif place.endswith(".jsonl"):
        _lines(file, place, bundle, evaluated.LINES.get(file.name, _is_event))


def _settle(workspace: Workspace, folder: Path, bundle: str) -> None:
    """Write the config anew with the keys that a run has, and the mark of a run that came from elsewhere."""
    config = _yaml(folder / "config.yaml", "config.yaml", bundle)
    data, model, prompt = config.get("data"), config.get("model"), config.get("prompt")
    sound = (
        isinstance(data, list)
        and len(data) <= MOST_SETS
        and all(isinstance(each, dict) and _texts(each, "name", "sha1") and is_short(each["name"]) for each in data)
        and isinstance(model, dict)
        and _texts(model, "path")
        and isinstance(prompt, dict)
        and _is_prompt(prompt)
        and config.get("kind") == "train"
        and all(isinstance(config.get(key, {}), dict) for key in ("versions", "plan", "continued", "settings"))
    )
    _require(sound, bundle, "config.yaml")
    try:
        settings = from_dict(config.get("settings") or {})
    except SettingsError as error:
        raise RunError(problem("bundle.settings", bundle), *error.problems) from error
    named = [*settings.data.train, *settings.data.test]
    _require(len(named) <= MOST_SETS and all(map(is_short, named)), bundle, "config.yaml")
    made = _json(folder / "bundle.json", bundle)
    kept = {key: config[key] for key in CONFIG_KEYS if key in config}
    kept["created"] = str(config.get("created", ""))[:40]
    kept |= {"settings": settings.model_dump(mode="json"), "workspace": str(workspace.root), "allow": []}
    kept |= {"elsewhere": {"run": str(made.get("run", ""))[:100], "made": str(made.get("made", ""))[:40]}}
    text = yaml_text.dump(kept)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    if (folder / notes.FILE).exists():
        notes.write(folder, notes.read(folder))
    for extra in ("bundle.json", "prompt.txt"):
        (folder / extra).unlink(missing_ok=True)


def _yaml(file: Path, place: str, bundle: str) -> dict[str, Any]:
    """Return a YAML file's mapping. References are refused: with them a few lines can stand for terabytes."""
    try:
        _require(file.stat().st_size <= _MOST_YAML, bundle, place)
        text = file.read_text(encoding="utf-8")
        _require(_is_plain(text), bundle, place)
        values = yaml.load(text, Loader=yaml_text.LOADER)  # noqa: S506  (it is a safe one)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise RunError(problem("bundle.broken", bundle, place=place)) from error
    _require(isinstance(values, dict) and _can_be_told(values), bundle, place)
    return dict(values)


def _is_plain(text: str) -> bool:
    """Tell whether a YAML text has no references and no more levels than people write."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml_text.LOADER):
        opens = isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent)
        depth += opens - isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > _DEEPEST:
            return False
    return True


def _can_be_told(values: Any) -> bool:
    """Tell whether values can be shown and reckoned with: no half characters, no whole numbers beyond 64 bits."""
    if isinstance(values, dict):
        return all(_can_be_told(key) and _can_be_told(value) for key, value in values.items())
    if isinstance(values, list | tuple):
        return all(map(_can_be_told, values))
    if isinstance(values, str):
        return not any("\ud800" <= each <= "\udfff" for each in values)
    return not isinstance(values, int) or abs(values) <= _LARGEST


def _json(file: Path, bundle: str, place: str = "bundle.json") -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RunError(problem("bundle.broken", bundle, place=place)) from error
    _require(isinstance(values, dict) and _can_be_told(values), bundle, place)
    return dict(values)


def _lines(file: Path, place: str, bundle: str, sound: Callable[[dict[str, Any]], bool]) -> None:
    """Check every line of a JSONL file; one that a full disk or a kill cut off is passed over where its reader does so."""
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                over = isinstance(error, ValueError) and evaluated.is_passed_over(file.name, line)
                _require(over, bundle, f"{place}:{number}")
                continue
            sane = isinstance(values, dict) and (not _ODD.search(line) or _can_be_told(values))
            _require(sane and sound(values), bundle, f"{place}:{number}")


def _is_event(values: dict[str, Any]) -> bool:
    """Tell whether an event has its fields, of their kinds, and words. Kinds of a newer studio are passed over, as always."""
    kind = _EVENTS.get(str(values.get("event")))
    if kind is None:
        return isinstance(values.get("event"), str)
    for each in fields(kind):
        if each.name in values and not _fits(values[each.name], each.type):
            return False
        if each.name not in values and each.default is each.default_factory:  # both missing: no event is without it
            return False
    match values["event"]:
        case "training_ended":
            return has(f"outcome.{values['reason']}")
        case "warned":
            return _has_words(values | {"event": None})
        case "run_failed":
            return all(isinstance(each, dict) and _has_words(each) for each in values["problems"])
    return True


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is types.UnionType:
        return any(_fits(value, each) for each in get_args(kind))
    if get_origin(kind) is dict:
        return isinstance(value, dict) and all(_fits(each, get_args(kind)[1]) for each in value.values())
    if kind is float:
        return isinstance(value, int | float)
    return kind is Any or isinstance(value, get_origin(kind) or kind)


def _has_words(values: dict[str, Any]) -> bool:
    """Tell whether a problem can be told: its code has words, and its values fill their blanks."""
    code, where, blanks = values.get("code"), values.get("where", ""), values.get("values", {})
    if not isinstance(code, str) or not isinstance(where, str) or not isinstance(blanks, dict):
        return False
    try:
        return bool(Problem(code, where, blanks).sentences())
    except (LookupError, ValueError, TypeError, AttributeError):
        return False


def _is_prompt(values: dict[str, Any]) -> bool:
    named = _texts(values, "name", "sha256") and is_short(values["name"]) and isinstance(values.get("version"), int)
    if "text" not in values:
        return False
    text = values["text"]
    if text is None:
        return named
    return named and isinstance(text, str) and hashlib.sha256(text.encode()).hexdigest() == values["sha256"]


def _texts(values: dict[str, Any], *keys: str) -> bool:
    return all(isinstance(values.get(key), str) for key in keys)


def _require(sound: bool, bundle: str, place: str) -> None:
    if not sound:
        raise RunError(problem("bundle.broken", bundle, place=place))
