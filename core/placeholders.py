"""Blanks such as {{name}} in a text: finding and filling them. Data sets and system prompts use the same ones."""

import re
from collections.abc import Mapping
from typing import Any

_BLANK = re.compile(r"\{\{\s*([^\W\d]\w*)\s*\}\}")


def blanks_in(text: str) -> set[str]:
    """Return the names of the blanks in a text."""
    return set(_BLANK.findall(text))


def fill_text(text: str, values: Mapping[str, str]) -> str:
    """Fill the blanks that have a value. What a value brings is not filled again."""
    return _BLANK.sub(lambda found: values.get(found[1], found[0]), text)


def fill_value(value: Any, values: Mapping[str, str]) -> Any:
    """Fill the blanks in every text of a row, however deep; keys stay."""
    if isinstance(value, str):
        return fill_text(value, values)
    if isinstance(value, list):
        return [fill_value(each, values) for each in value]
    if isinstance(value, dict):
        return {key: fill_value(each, values) for key, each in value.items()}
    return value
