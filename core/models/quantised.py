"""Whether a model was published with rounded weights, as its config.json says. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.models.files import config
from core.models.size import text_config

TRAINED = frozenset({"bitsandbytes"})  # an adapter can be trained on these; the others need libraries that are not here
_BITS = {"fp8": 8, "fbgemm_fp8": 8, "mxfp4": 4, "nvfp4": 4, "mxfp8": 8, "eetq": 8, "bitnet": 2}  # never said otherwise


@dataclass(frozen=True)
class Quantisation:
    """`method` is the name that transformers has for it; `bits` are those of a weight, 0 where that is not said."""

    method: str
    bits: int


def quantisation(folder: Path) -> Quantisation | None:
    """Return how the weights in a model folder were rounded, None where they were not."""
    return quantisation_of(config(folder))


def quantisation_of(values: Mapping[str, Any]) -> Quantisation | None:
    """Return the same from the values of a config.json."""
    given = values.get("quantization_config") or values.get("compression_config")
    given = given or text_config(values).get("quantization_config")
    if not isinstance(given, Mapping) or not given:
        return None
    four, eight = bool(given.get("load_in_4bit")), bool(given.get("load_in_8bit"))
    method = str(given.get("quant_method") or ("bitsandbytes" if four or eight else "?"))
    said = [given.get(key) for key in ("bits", "w_bit", "num_bits")]
    said += [four and 4, eight and 8, _BITS.get(method), _of_groups(given.get("config_groups"))]
    return Quantisation(method, next((value for value in said if isinstance(value, int) and value > 0), 0))


def _of_groups(groups: Any) -> int | None:
    """Return the bits that compressed-tensors gives its weights, group by group."""
    weights = [group.get("weights") for group in groups.values()] if isinstance(groups, Mapping) else []
    bits = [each.get("num_bits") for each in weights if isinstance(each, Mapping)]
    return min((each for each in bits if isinstance(each, int)), default=None)
