"""Settings that contradict each other, the model or the machine: told all at once before the start, each with the way out."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel

from core.errors import Problem, problem
from core.models.files import config, headers
from core.models.folder import fingerprint
from core.models.methods import TRAITS, bits_of
from core.models.quantised import quantisation
from core.models.size import Size, size, text_config
from core.render.model_files import state_of
from core.render.tokenizer import ChatTokenizer
from core.settings import RunSettings, SettingField, fields
from core.train.machine import Machine
from core.train.tracking.chosen import check as check_trackers

LORA = frozenset(name for name, traits in TRAITS.items() if traits.adapter and traits.mergeable)
_VIRTUAL = ("prefix", "prompt")
# Values of layer_types whose layers keep keys and values; "attention" is an older name.
_ATTENDING = {"full_attention", "sliding_attention", "chunked_attention", "attention"}
_ONLY_WITH = {  # setting -> the methods that read it
    "lora.rank": LORA,
    "lora.alpha": LORA,
    "lora.dropout": LORA,
    "lora.targets": LORA,
    "lora.plus_ratio": frozenset({"loraplus"}),
    "method.layers": frozenset({"freeze"}),
    "method.virtual_tokens": frozenset(_VIRTUAL),
}


@dataclass(frozen=True)
class ModelFacts:
    """What a model folder says that a setting can contradict.

    `quantised` is the method that its weights are quantised with (`gptq`, `awq`, `fp8`, `bitsandbytes` …), "" for none, and
    `bits` their bits where that is said. `modules` are the full names of its layers, `template` says that it has one,
    `hybrid` that some of its layers keep something else than keys and values.
    """

    size: Size
    context: int
    quantised: str
    bits: int
    modules: frozenset[str]
    template: bool
    family: str
    hybrid: bool


def model_facts(folder: Path) -> ModelFacts:
    """Read the facts of a checked model folder.

    Raises:
        ModelError: if it has no size that can be told, or its tokenizer cannot be used.
    """
    return _facts(folder, (state_of(folder), fingerprint(folder)))


@lru_cache(maxsize=8)
def _facts(folder: Path, _: object) -> ModelFacts:
    found, values = size(folder), text_config(config(folder))
    quantised = quantisation(folder)
    return ModelFacts(
        size=found,
        context=found.context,
        quantised=quantised.method if quantised else "",
        bits=quantised.bits if quantised else 0,
        modules=frozenset(name.removesuffix(".weight") for name in headers(folder) if name.endswith(".weight")),
        template=ChatTokenizer.load(folder).template_source == "model",
        family=str(values.get("model_type")),
        hybrid=not set(values.get("layer_types") or ()) <= _ATTENDING,
    )


def conflicts(settings: RunSettings, model: ModelFacts | None, machine: Machine) -> list[Problem]:
    """Return what keeps these settings from starting on this machine, and on this model where it is here already."""
    found = [
        *_of_precision(settings, machine),
        *_unread(settings),
        *_of_method(settings),
        *check_trackers(settings),
    ]
    return [*found, *_of_model(settings, model)] if model else found


def schedule_conflicts(settings: RunSettings, steps: int, validation_examples: int, interval: int) -> list[Problem]:
    """Return what contradicts the length of the run: `steps` in all, validated after each `interval` of them."""
    schedule, found = settings.schedule, []
    if math.ceil(steps * schedule.warmup_share) >= steps:
        found.append(problem("conflict.all_warmup", "schedule.warmup_share", steps=steps, share=f"{0.05:g}"))
    if schedule.patience is None:
        return found
    validations = steps // interval + (steps % interval > 0)
    if not validation_examples:
        found.append(problem("conflict.patience_blind", "schedule.patience"))
    elif schedule.patience >= validations:
        shorter = max(1, steps // (3 * schedule.patience))
        values = {"patience": schedule.patience, "validations": validations, "every": shorter}
        found.append(problem("conflict.patience_long", "schedule.patience", **values))
    return found


def notes(settings: RunSettings, model: ModelFacts, machine: Machine) -> list[Problem]:
    """Return what the run will do otherwise than a setting says, without anything being wrong."""
    found = []
    cutoff = settings.batch.cutoff_len
    if model.context and cutoff > model.context and not _asked(settings.batch, "cutoff_len"):
        found.append(problem("plan.cutoff_over_context", "batch.cutoff_len", value=cutoff, limit=model.context))
    if settings.batch.packing and not TRAITS[settings.method.name].packs:
        found.append(problem("plan.no_packing", "batch.packing", method=settings.method.name))
    if settings.optim.name.startswith("paged_") and machine.device == "cpu":
        found.append(problem("plan.no_paging", "optim.name", name=settings.optim.name))
    return found


def _of_precision(settings: RunSettings, machine: Machine) -> Iterator[Problem]:
    name, allowed, bits = settings.method.name, TRAITS[settings.method.name].bits, bits_of(settings)
    if bits not in allowed:
        able = ", ".join(each for each, traits in TRAITS.items() if bits in traits.bits)
        values = {"method": name, "bits": bits, "allowed": ", ".join(map(str, allowed)), "able": able}
        yield problem("conflict.bits", "method.bits", **values)
    if settings.compute.dtype == "bfloat16" and machine.bfloat16 is False:
        yield problem("conflict.no_bfloat16", "compute.dtype", machine=machine.name)
    if settings.compute.compile and machine.device == "cpu":
        yield problem("conflict.compile_on_cpu", "compute.compile")


def _unread(settings: RunSettings) -> Iterator[Problem]:
    """Find settings that were changed and that the method does not read."""
    for path, methods in _ONLY_WITH.items():
        if settings.method.name not in methods and (row := _changed(settings, path)) is not None:
            default = "" if row.default is None else row.default
            shown = ", ".join(default) if isinstance(default, list) else f"{default:g}" if default != "" else "–"
            named = {"setting": path, "method": settings.method.name, "methods": ", ".join(sorted(methods))}
            yield problem("conflict.unread", path, **named, default=shown)


def _of_method(settings: RunSettings) -> Iterator[Problem]:
    name, traits = settings.method.name, TRAITS[settings.method.name]
    if settings.compute.checkpointing == "on" and not traits.checkpoints:
        yield problem("conflict.checkpointing", "compute.checkpointing", method=name)
    if settings.batch.packing and _asked(settings.batch, "packing") and not traits.packs:
        yield problem("conflict.packing", "batch.packing", method=name)


def _of_model(settings: RunSettings, model: ModelFacts) -> Iterator[Problem]:
    name, bits, cutoff = settings.method.name, bits_of(settings), settings.batch.cutoff_len
    if model.quantised == "bitsandbytes" and bits != model.bits:
        able = "qlora" if model.bits in TRAITS["qlora"].bits else name
        yield problem("conflict.other_bits", "method.bits", bits=bits, has=model.bits, able=able)
    elif model.quantised not in ("", "bitsandbytes"):
        yield problem("conflict.quantised", "model.path", method=model.quantised)
    if name == "prefix" and model.hybrid:
        yield problem("method.no_prefix", "method.name", family=model.family)
    if name == "freeze" and settings.method.layers > model.size.layers:
        yield problem("conflict.layers", "method.layers", layers=settings.method.layers, has=model.size.layers)
    if name in LORA and "all-linear" not in settings.lora.targets:
        missing = [each for each in settings.lora.targets if not _names_a_layer(each, model)]
        if missing and model.modules:
            has = ", ".join(dict.fromkeys(each.name for each in model.size.linears))
            yield problem("conflict.targets", "lora.targets", names=", ".join(missing), has=has)
    most = min((min(each.rows, each.columns) for each in model.size.linears), default=0)
    if name == "pissa" and settings.lora.rank > most > 0:  # a matrix has no more main directions than its shorter side
        yield problem("method.rank_over_layer", "lora.rank", value=settings.lora.rank, most=most)
    if model.context and cutoff > model.context and _asked(settings.batch, "cutoff_len"):
        yield problem("conflict.cutoff", "batch.cutoff_len", value=cutoff, limit=model.context)
    if settings.model.add_chatml:
        yield from _of_new_tokens(settings, model)


def _of_new_tokens(settings: RunSettings, model: ModelFacts) -> Iterator[Problem]:
    name, able = settings.method.name, [*sorted(LORA), "full"]
    if model.template:
        yield problem("conflict.has_template", "model.add_chatml")
    elif settings.data.template == "completion":
        yield problem("conflict.chatml_completion", "model.add_chatml")
    elif name not in able:
        yield problem("conflict.chatml_method", "model.add_chatml", method=name, able=", ".join(able))
    elif model.size.biased_output:
        yield problem("model.biased_output", settings.model.path)


def _asked(group: BaseModel, name: str) -> bool:
    """Say whether a person asked for what a setting is: it is not its default, or it was given.

    Where a whole group was given, as the page and the recipe of an earlier run give it, its defaults were not asked for.
    """
    fields_of = type(group).model_fields
    given = name in group.model_fields_set and len(group.model_fields_set) < len(fields_of)
    return given or getattr(group, name) != fields_of[name].default


def _changed(settings: RunSettings, path: str) -> SettingField | None:
    """Return the row of a setting that is not at its default."""
    row = next(each for each in fields() if each.path == path)
    group, _, name = path.partition(".")
    return row if getattr(getattr(settings, group), name) != row.default else None


def _names_a_layer(target: str, model: ModelFacts) -> bool:
    """Say whether a target means linear layers, as PEFT reads it: the end of a layer's name, at a dot."""
    linears = {"lm_head", *(each.name for each in model.size.linears)}
    found = any(module == target or module.endswith(f".{target}") for module in model.modules)
    return found and target.rpartition(".")[2] in linears
