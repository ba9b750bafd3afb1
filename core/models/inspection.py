"""What a model folder says of itself, before anything is loaded: facts, what keeps it from being used, what is good to know.

Everything is read from its files in milliseconds, without torch: the page shows it while a person chooses.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml

from core.errors import ModelError, Problem, problem
from core.models.architecture import drops_pictures
from core.models.cache import revision_of
from core.models.files import config, count, headers
from core.models.folder import check, weight_bytes
from core.models.quantised import TRAINED, Quantisation, quantisation_of
from core.models.size import Size, size
from core.render.model_files import read_tokenizer, state_of
from core.render.tokenizer import ChatTokenizer

_CARD = 50_000  # characters of README.md that are read; its head is what counts


@dataclass(frozen=True)
class Inspection:
    """A model folder. Facts that its files do not tell are None, 0 or "".

    `problems` keep it from being used at all; `remarks` say what somebody should know who uses it.
    """

    size: Size | None = None
    weight_bytes: int = 0
    dtype: str = ""  # of most weights, as safetensors calls it: BF16, F32 …
    tokens: int = 0  # that the tokenizer knows
    template: Literal["model", "chatml", "none", ""] = ""  # its own, ours, or none; "" when there is no tokenizer
    stops: tuple[str, ...] = ()  # the tokens that end an answer
    quantised: Quantisation | None = None
    licence: str = ""
    revision: str | None = None  # commit of a model of the hub
    problems: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it, with the numbers that follow from the size."""
        values = asdict(self)
        if self.size is not None:
            values["size"] |= {"parameters": self.size.parameters, "linear_weights": self.size.linear_weights}
        return values


def inspect(folder: Path) -> Inspection:
    """Return what a model folder says of itself; what is wrong with it is part of that, and raises nothing."""
    stamp = tuple(
        (str(each), each.stat().st_size, each.stat().st_mtime_ns) for each in sorted(folder.glob("*")) if each.is_file()
    )
    return _inspected(folder, (stamp, state_of(folder)))


@lru_cache(maxsize=16)
def _inspected(folder: Path, _: object) -> Inspection:
    try:
        check(folder, downloaded=revision_of(folder) is not None)
    except ModelError as error:
        return Inspection(problems=error.problems, licence=_licence(folder), revision=revision_of(folder))
    values = config(folder)
    quantised = quantisation_of(values)
    facts: dict[str, Any] = {
        "weight_bytes": weight_bytes(folder),
        "dtype": stored_dtype(folder),
        "quantised": quantised,
    }
    problems = [*_quantised_otherwise(quantised, folder.name)]
    remarks = [*_of_config(values, quantised, folder.name)]
    try:
        facts["size"] = size(folder)
        facts |= _spoken(folder)
    except ModelError as error:
        problems += error.problems
    else:
        problems += _too_many_tokens(facts["tokens"], facts["size"], folder.name)
        remarks += _of_chatting(facts, folder.name)
    facts |= {"licence": _licence(folder), "revision": revision_of(folder)}
    return Inspection(**facts, problems=tuple(problems), remarks=tuple(remarks))


def _spoken(folder: Path) -> dict[str, Any]:
    """Return what tokenizer and chat template tell."""
    chat = ChatTokenizer.load(folder)
    ids = read_tokenizer(folder).get_vocab(with_added_tokens=True).values()
    return {"tokens": max(ids) + 1, "template": chat.template_source, "stops": tuple(chat.stop_tokens)}


def stored_dtype(folder: Path) -> str:
    """Return the type in which most weights are stored."""
    found: Counter[str] = Counter()
    for tensor in headers(folder).values():
        found[tensor["dtype"]] += count(tensor["shape"])
    return found.most_common(1)[0][0] if found else ""


def _quantised_otherwise(quantised: Quantisation | None, name: str) -> Iterator[Problem]:
    if quantised is not None and quantised.method not in TRAINED:
        yield problem("conflict.quantised", name, method=quantised.method)


def _of_config(values: dict[str, Any], quantised: Quantisation | None, name: str) -> Iterator[Problem]:
    if quantised is not None and quantised.method in TRAINED:
        yield problem("model.quantised", name, method=quantised.method, bits=quantised.bits or "?")
    if drops_pictures(values):
        yield problem("model.drops_pictures", name)
    if "auto_map" in values:
        yield problem("model.code_left_out", name)


def _too_many_tokens(tokens: int, size: Size, name: str) -> Iterator[Problem]:
    if tokens > size.vocabulary > 0:
        yield problem("model.more_tokens", name, tokens=tokens, rows=size.vocabulary)


def _of_chatting(facts: dict[str, Any], name: str) -> Iterator[Problem]:
    if facts["template"] == "none":
        yield problem("model.no_template", name)
    if facts["template"] == "chatml":
        yield problem("model.our_template", name)
    if not facts["stops"]:
        yield problem("model.no_stop", name)
    if not facts["size"].context:
        yield problem("model.no_context", name)


def _licence(folder: Path) -> str:
    """Return the licence that the model card names, else the first line of the licence file, else ""."""
    card = folder / "README.md"
    if card.is_file():
        text = card.read_text(encoding="utf-8", errors="replace")[:_CARD]
        head = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
        try:
            values = yaml.safe_load(head[1]) if head else None
        except yaml.YAMLError:
            values = None
        if isinstance(values, dict) and (named := values.get("license_name") or values.get("license")):
            return str(named)
    files = [folder / name for name in ("LICENSE", "LICENSE.txt", "LICENSE.md") if (folder / name).is_file()]
    lines = files[0].read_text(encoding="utf-8", errors="replace").splitlines() if files else []
    return next((line.strip(" #*")[:80] for line in lines if line.strip()), "")
