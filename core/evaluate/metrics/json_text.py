"""Answers that are JSON: whether they parse, fit a schema, and say the same. Nothing is ever fetched from the network."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import regex
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from core.errors import SettingsError, problem

_SECONDS = 0.5  # for one pattern of a schema; chosen by us


def parsed(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: if it is none; NaN and Infinity are none, and neither is one nested too deeply to be read.
    """
    try:
        return json.loads(text, parse_constant=_refused)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_json(text: str) -> bool:
    try:
        parsed(text)
    except ValueError:
        return False
    return True


def is_structure(text: str) -> bool:
    """Say whether a text is a JSON object or list; a bare word or number in JSON is no sign that JSON is meant."""
    return text.strip()[:1] in ("{", "[") and is_json(text)


def same_value(one: Any, other: Any) -> bool:
    """Say whether two JSON values are equal: the order of keys does not count, 1 is 1.0, and true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_value(each, other[key]) for key, each in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    return bool(one == other)


@lru_cache(maxsize=16)
def validator(schema: str) -> Validator:
    """Return what validates against a schema, given as JSON text.

    Raises:
        SettingsError: if it is no JSON, no schema, or points outside of itself.
    """
    try:
        value = parsed(schema)
        if not isinstance(value, dict | bool):
            raise ValueError(f"a schema is an object, and this is {schema.strip()[:20]}")
        kind = validator_for(value, default=Draft202012Validator)
        kind.check_schema(value)
    except ValueError as error:
        raise SettingsError(problem("evaluate.bad_schema", reason=str(error))) from None
    except SchemaError as error:
        raise SettingsError(problem("evaluate.bad_schema", reason=error.message)) from None
    except RecursionError:
        raise SettingsError(problem("evaluate.bad_schema", reason="nested too deeply")) from None
    found = extend(kind, {"pattern": _pattern})(value, registry=Registry())
    for target in set(_references(value)):
        try:
            list(found.descend(None, {"$ref": target}))
        except Unresolvable:
            raise SettingsError(problem("evaluate.bad_reference", target=target)) from None
        except RecursionError:
            raise SettingsError(
                problem("evaluate.bad_schema", reason=f"{target} refers to itself without end")
            ) from None
    return found


def _pattern(_: Validator, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    """The keyword "pattern" with a time limit, so that no answer can hold the evaluation up."""
    if isinstance(instance, str):
        try:
            fits = regex.search(pattern, instance, timeout=_SECONDS)
        except TimeoutError:
            fits = None
        if not fits:
            yield ValidationError(f"does not match {pattern}")


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        target = schema.get("$ref")
        if isinstance(target, str):
            yield target
    for each in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _references(each)


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
