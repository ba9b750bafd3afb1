"""Can this model write text, and does the installed transformers know it? Told from config.json, without importing torch.

What transformers knows stands in the tables of its own source (`models/auto/modeling_auto.py`). They are read as data, not
imported: importing them takes seconds and all of torch.
"""

import ast
import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.errors import Problem, problem

_WRITES, _ANY = "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", "MODEL_MAPPING_NAMES"
_FILLS_GAPS, _REWRITES = "MODEL_FOR_MASKED_LM_MAPPING_NAMES", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES"
_SEES = "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES"


def unsuited(values: Mapping[str, Any], name: str) -> Problem | None:
    """Return why a model with this config.json cannot be trained to write, None when it can; `name` is told as the place."""
    kind, built = str(values.get("model_type") or ""), _built_as(values)
    if not kind:
        return problem("model.bad_config", name, reason="model_type: –")
    if kind not in _tables()[_ANY].keys() | _tables()[_WRITES].keys():
        if "auto_map" in values:
            return problem("model.own_code", name)
        version = importlib.metadata.version("transformers")
        return problem("model.unknown_family", name, family=kind, version=version)
    if _writes(kind, built):
        return None
    return problem(_purpose(kind, built, values), name, architecture=built or kind)


def drops_pictures(values: Mapping[str, Any]) -> bool:
    """Say whether a model that sees pictures too is loaded without the part that sees."""
    return "vision_config" in values and _writes(str(values.get("model_type")), _built_as(values))


def _built_as(values: Mapping[str, Any]) -> str:
    names = values.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else ""


def _writes(kind: str, built: str) -> bool:
    """Say whether transformers loads this as a model that only writes text."""
    tables = _tables()
    loaded = tables[_WRITES].get(kind, "")
    if not loaded or loaded.endswith("ForConditionalGeneration"):
        return False
    if not built:
        return kind not in tables[_FILLS_GAPS]
    return built in tables[_WRITES].values() or _sees(kind, built)


def _sees(kind: str, built: str) -> bool:
    return built == _tables()[_SEES].get(kind)


def _purpose(kind: str, built: str, values: Mapping[str, Any]) -> str:
    """Return the code of the words for what a model does instead of writing."""
    if _sees(kind, built) or "vision_config" in values:
        return "model.sees"
    if kind in _tables()[_REWRITES]:
        return "model.rewrites"
    if built.endswith(("Classification", "QuestionAnswering", "RewardModel")):
        return "model.classifies"
    if built.endswith(("ForMaskedLM", "Model")) or kind in _tables()[_FILLS_GAPS]:
        return "model.embeds"
    return "model.other_task"


@lru_cache(maxsize=1)
def _tables() -> dict[str, dict[str, str]]:
    """Return the tables: name -> model_type -> class."""
    found = importlib.util.find_spec("transformers")
    source = Path(str(found and found.origin)).parent / "models" / "auto" / "modeling_auto.py"
    wanted = (_WRITES, _ANY, _FILLS_GAPS, _REWRITES, _SEES)
    tables: dict[str, dict[str, str]] = {name: {} for name in wanted}
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in wanted:
            tables[node.targets[0].id] = dict(_pairs(node.value))
    return tables


def _pairs(node: ast.expr) -> Iterator[tuple[str, str]]:
    """Yield model_type and class of each entry; of several classes the first."""
    for entries in (each for each in ast.walk(node) if isinstance(each, ast.List)):
        for entry in entries.elts:
            if isinstance(entry, ast.Tuple):
                kind, built = ast.literal_eval(entry)
                yield kind, built if isinstance(built, str) else built[0]
