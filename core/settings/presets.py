"""Presets: named sets of overrides for a kind of job. Applied, a preset leaves alone every setting that it does not name."""

import difflib
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from core.errors import SettingsError, problem

_FILE = Path(__file__).with_name("presets.yaml")


@lru_cache
def presets() -> dict[str, dict[str, Any]]:
    """Return name -> dotted path -> value, in the order of the file."""
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


def preset(name: str) -> dict[str, Any]:
    """Return the overrides of a preset, for `load_recipe` and `from_dict`.

    Raises:
        SettingsError: if there is none of that name.
    """
    known = presets()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        raise SettingsError(problem("settings.no_preset", name, close=close[0] if close else next(iter(known)),
                                    known=", ".join(known)))  # fmt: skip
    return known[name]
