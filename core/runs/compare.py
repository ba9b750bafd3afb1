"""Runs side by side: of all that was asked and resolved, only what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import StudioError
from core.runs.directory import Run

_SHOWN = 8  # characters of a hash; enough to see that two differ


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same in all runs; a value is None where a run has none.

    `path` is a setting's, or `data.sha1.NAME`, `data.split.NAME`, `model.fingerprint`, `model.revision`, `prompt.text`,
    `continued.run`, `continued.adapter_sha256`, `versions.PACKAGE`.
    """

    path: str
    values: tuple[Any, ...]


def differences(runs: Sequence[Run]) -> list[Difference]:
    """Return what differs between the runs, settings first, each with the value of every run in their order."""
    told = [_flat(run) for run in runs]
    paths = dict.fromkeys(path for each in told for path in each)
    found = [Difference(path, tuple(each.get(path) for each in told)) for path in paths]
    return [each for each in found if any(value != each.values[0] for value in each.values)]


def _flat(run: Run) -> dict[str, Any]:
    config = run.config
    flat = _settings(run)
    flat |= {f"data.sha1.{each['name']}": str(each.get("sha1", ""))[:_SHOWN] for each in config["data"]}
    flat |= {
        f"data.split.{each['name']}": str(each.get("split_sha1") or "")[:_SHOWN] or None for each in config["data"]
    }
    flat["model.revision"] = str(config["model"].get("revision") or "")[:_SHOWN] or None
    flat["model.fingerprint"] = str(config["model"].get("fingerprint") or "")[:_SHOWN] or None
    flat["prompt.text"] = config["prompt"].get("text")
    continued = config.get("continued") or {}
    flat["continued.run"] = continued.get("run")
    flat["continued.adapter_sha256"] = str(continued.get("adapter_sha256") or "")[:_SHOWN] or None
    flat |= {f"versions.{name}": version for name, version in (config.get("versions") or {}).items()}
    return flat


def _settings(run: Run) -> dict[str, Any]:
    """Return the settings by path: with the defaults of today where they can still be read, else as they were written."""
    try:
        values: Mapping[str, Any] = run.settings.model_dump(mode="json")
    except StudioError:  # of another version of the studio
        values = run.config["settings"]
    flat: dict[str, Any] = {}
    for group, inner in values.items():
        if isinstance(inner, Mapping):
            flat |= {f"{group}.{name}": value for name, value in inner.items()}
        elif group != "name":  # a name differs by itself
            flat[group] = inner
    # The version that was asked for may be "the newest": what it was then is what counts.
    flat["prompt.version"] = run.config["prompt"].get("version")
    return flat
