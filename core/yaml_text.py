"""YAML that is read again exactly as it was written, and that a person can read."""

from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a safe one; in C, where it was built, ten times as fast
# PyYAML writes these as they are and, when it reads them, puts blanks or lines in their place.
_BREAKS = "\x85\u2028\u2029"


def dump(values: Any) -> str:
    """Return values of JSON's kinds as YAML, in their order and without references: all is written out."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if any(each in text for each in _BREAKS) else None  # in these quotes they are written as escapes
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)
