"""The documentation table of all settings: `python -m core.settings.document > docs/settings.md`.

A test compares the file with this, so that a documented default cannot differ from the real one.
"""

import json

from core.settings.table import SettingField, fields
from core.wording import words


def document() -> str:
    """Return docs/settings.md."""
    t = words("en")
    lines = [
        "# Settings",
        "",
        "The same in the page, in a recipe and as flags of `studio train`: `lora.rank` is the control *Rank*, the key `lora:",
        "{rank: 16}` and the flag `--lora.rank 16`. This file is made by `python -m core.settings.document`.",
        "",
        "| setting | default | values | what it does |",
        "| --- | --- | --- | --- |",
    ]
    for row in fields():
        text = t(f"setting.{row.path}.help").replace("|", "\\|").replace("\n", " ")
        source = f" ({row.source})" if row.source else ""
        lines.append(f"| `{row.path}` | {_default(row)} | {_values(row)} | {text}{source} |")
    return "\n".join(lines) + "\n"


def _default(row: SettingField) -> str:
    if row.required:
        return "required"
    return "found by the studio" if row.default is None else f"`{json.dumps(row.default, ensure_ascii=False)}`"


def _values(row: SettingField) -> str:
    if row.choices:
        return ", ".join(row.choices)
    low = "" if row.minimum is None else f"{'>' if row.above_minimum else '≥'} {row.minimum:g}"
    high = "" if row.maximum is None else f"≤ {row.maximum:g}"
    return " ".join(filter(None, (row.kind, ", ".join(filter(None, (low, high))), row.unit)))


if __name__ == "__main__":
    print(document(), end="")
