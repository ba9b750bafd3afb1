"""YAML and flags to settings, with all problems at once."""

import difflib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from core import yaml_text
from core.errors import Problem, SettingsError, problem
from core.settings.groups import RunSettings
from core.settings.table import fields

_SIGNS = {"gt": ">", "ge": "≥", "le": "≤", "lt": "<"}


def load_recipe(file: Path, overrides: Mapping[str, Any] | None = None) -> RunSettings:
    """Read a recipe; `overrides` maps dotted paths to values that win.

    Raises:
        SettingsError: with every problem that was found.
    """
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(problem("settings.no_file", str(file), file=file.name)) from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file.name}:{mark.line + 1}" if mark else file.name
        reason = getattr(error, "problem", None) or str(error)
        raise SettingsError(problem("settings.yaml", where, reason=reason)) from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise SettingsError(problem("settings.not_groups", file.name, kind=type(values).__name__))
    return from_dict(values, overrides)


def from_dict(values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> RunSettings:
    """Check nested groups of values (and dotted overrides) and return the settings.

    Raises:
        SettingsError: with every problem that was found.
    """
    nested = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    nested = {key: value for key, value in nested.items() if value is not None}  # "lora:" with nothing under it
    for path, value in (overrides or {}).items():
        *groups, name = path.split(".")
        target: Any = nested
        for group in groups:
            target = target.setdefault(group, {}) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise SettingsError(_unknown(path))
        target[name] = None if value in ("", "null", "none") and _may_be_empty(path) else value
    try:
        return RunSettings.model_validate(nested)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise SettingsError(*(_problem(each) for each in found)) from error


def _may_be_empty(path: str) -> bool:
    return any(row.path == path and row.optional for row in fields())


def to_yaml(settings: RunSettings) -> str:
    """Return the settings as a recipe that gives the same settings again."""
    return yaml_text.dump(settings.model_dump(mode="json"))


def _problem(error: Any) -> Problem:
    where = ".".join(str(part) for part in error["loc"])
    value = _shown(error.get("input"))
    context = error.get("ctx") or {}
    match error["type"]:
        case "extra_forbidden":
            return _unknown(where)
        case "missing":
            return problem("settings.missing", where)
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return problem("settings.out_of_range", where, value=value, range=_range(where, context))
        case "finite_number":
            return problem("settings.not_finite", where, value=value)
        case "literal_error":
            return problem("settings.not_a_choice", where, value=value, choices=context.get("expected", ""))
        case "too_short" | "string_too_short":
            return problem("settings.empty", where)
        case "value_error":
            return problem("settings.not_a_multiple", where or "batch", reason=str(context.get("error", "")))
        case _:
            return problem("settings.wrong_kind", where, value=value, reason=error["msg"])


def _unknown(where: str) -> Problem:
    known = [row.path for row in fields()]
    known += sorted({path.partition(".")[0] for path in known})
    close = difflib.get_close_matches(where, known, n=1, cutoff=0.6)
    last = where.rpartition(".")[2]
    close = close or [path for path in known if path.rpartition(".")[2] == last]
    close = close or difflib.get_close_matches(last, [path.rpartition(".")[2] for path in known], n=1, cutoff=0.6)
    if close:
        return problem("settings.unknown_close", where, close=close[0])
    return problem("settings.unknown", where, known=", ".join(known[: known.index("seed")][:60]))


def _range(where: str, context: Mapping[str, Any]) -> str:
    """Return the bounds of a setting as symbols that every language reads, such as "> 0, ≤ 1".

    A value inside a setting, such as one weight, has only the bound that it broke.
    """
    row = next((each for each in fields() if each.path == where), None)
    if row is None:
        return next(f"{sign} {context[key]:g}" for key, sign in _SIGNS.items() if key in context)
    low = None if row.minimum is None else f"{'>' if row.above_minimum else '≥'} {row.minimum:g}"
    high = None if row.maximum is None else f"≤ {row.maximum:g}"
    return ", ".join(part for part in (low, high) if part)


def _shown(value: Any) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return repr(value)[:80]
