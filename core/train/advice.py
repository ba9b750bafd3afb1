"""What is unwise about a run that could start: where it will hardly learn, or will learn the wrong thing. With numbers.

Nothing here keeps a run from starting, and a healthy run hears nothing.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import replace

from core.data import mix
from core.errors import Problem, problem
from core.models.size import Size
from core.settings import RunSettings
from core.train.arithmetic import trained_parameters
from core.train.batches import total_steps
from core.train.conflicts import LORA
from core.train.examples import RunData, Source

FEW_STEPS = 60  # facts/training: runs below it changed nothing that anyone could see
LARGE, VERY_LARGE = 100_000_000, 3_000_000_000  # weights
MOST_WARMUP = 0.3  # of the steps, facts/training
FEW_VALIDATION = 10  # rows; chosen by us: the mean loss of fewer jumps by more than training changes it
MOST_PASSES, FEW_ROWS = 10, 1000  # chosen by us: a large model knows a row by heart after about ten times
MOST_LOST = 0.25  # of the tokens
MOST_DOMINANT = 0.95  # of the learnt tokens; chosen by us
FEW_IDENTITY = 200  # exposures; chosen by us: 88 are known not to be taken on, LLaMA-Factory's example has 273
# A weight of an adapter stores about 2 bits (Allen-Zhu & Li 2024), a token of text teaches about 1 (Schulman et al. 2025).
_TOKENS_A_WEIGHT = 2

# Rates between which a method usually learns: for models below LARGE, below VERY_LARGE, and above; then the one to try.
# LoRA: QLoRA table 9, measured on the starter (2e-3 learns, 5e-3 comes apart). Full: LLaMA-Factory's and FastChat's scripts.
# Prompts: Lester et al. 2021 (0.3), PEFT's examples (1e-2 to 3e-2).
_RATES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "lora": ((5e-4, 4e-3, 2e-3), (5e-5, 1e-3, 2e-4), (5e-5, 5e-4, 2e-4)),
    "weights": ((5e-5, 2e-3, 5e-4), (5e-6, 2e-4, 2e-5), (1e-6, 5e-5, 1e-5)),
    "virtual": ((1e-3, 0.5, 3e-2), (1e-3, 0.5, 1e-2), (1e-3, 0.5, 1e-2)),
}
_STRONGER = {"rslora": 5, "pissa": 5, "loraplus": 10}  # times; these learn at so much lower rates as well


def advice(
    settings: RunSettings, size: Size, data: RunData, steps: int, passes: float, identities: Collection[str]
) -> list[Problem]:
    """Return what is unwise about a run of `steps` steps that sees its data `passes` times.

    `identities` are the names of the sets that teach who the model is.
    """
    return [
        *_steps(settings, data, steps),
        *_rate(settings, size.parameters),
        *_validation(data),
        *_capacity(settings, size, data),
        *_lost(settings, data),
        *_sources(data, size.parameters, passes, identities),
        *mix.advice([replace(part, identity=_is(part.name, identities)) for part in data.parts], passes),
    ]


def _steps(settings: RunSettings, data: RunData, steps: int) -> Iterator[Problem]:
    schedule, size = settings.schedule, settings.batch.global_batch_size
    if steps < FEW_STEPS:
        per_pass = math.ceil(data.per_pass / size)
        epochs, code = math.ceil(FEW_STEPS * 2 / per_pass), "plan.few_steps"
        if schedule.max_steps and schedule.max_steps < total_steps(data.per_pass, size, schedule.epochs, None):
            code = "plan.few_max_steps"
        yield problem(code, "schedule.epochs", steps=steps, few=FEW_STEPS, epochs=epochs)
    if schedule.warmup_share > MOST_WARMUP:
        warmup = math.ceil(steps * schedule.warmup_share)
        values = {"share": f"{schedule.warmup_share:.0%}", "warmup": warmup, "steps": steps}
        yield problem("plan.long_warmup", "schedule.warmup_share", **values)


def _rate(settings: RunSettings, parameters: int) -> Iterator[Problem]:
    name, rate = settings.method.name, settings.optim.learning_rate
    family = "lora" if name in LORA else "virtual" if name in ("prefix", "prompt") else "weights"
    low, high, advised = _RATES[family][(parameters >= LARGE) + (parameters >= VERY_LARGE)]
    low /= _STRONGER.get(name, 1)
    if low <= rate <= high:
        return
    values = {"rate": rate, "low": low, "high": high, "advised": advised}
    shown = {key: f"{value:g}" for key, value in values.items()}
    code = "plan.low_rate" if rate < low else "plan.high_rate"
    yield problem(code, "optim.learning_rate", method=name, size=_spoken(parameters), **shown)


def _validation(data: RunData) -> Iterator[Problem]:
    if not data.validation:
        yield problem("plan.no_validation", "data.validation_share")
    elif len(data.validation) < FEW_VALIDATION:
        share = min(0.5, FEW_VALIDATION * 2 / (len(data.train) + len(data.validation)))
        values = {"n": len(data.validation), "few": FEW_VALIDATION, "share": f"{share:.2g}"}
        yield problem("plan.few_validation", "data.validation_share", **values)


def _capacity(settings: RunSettings, size: Size, data: RunData) -> Iterator[Problem]:
    """Tell when the data has more to teach than the adapter can hold."""
    distinct = sum(source.learnt_tokens for source in data.sources)
    trained = trained_parameters(size, settings)
    if settings.method.name not in LORA or not trained or trained * _TOKENS_A_WEIGHT >= distinct:
        return
    rank = settings.lora.rank * math.ceil(distinct / (trained * _TOKENS_A_WEIGHT))
    values = {
        "rank": settings.lora.rank,
        "weights": _spoken(trained),
        "tokens": _spoken(distinct),
        "enough": min(512, rank),
    }
    yield problem("plan.small_rank", "lora.rank", **values)


def _lost(settings: RunSettings, data: RunData) -> Iterator[Problem]:
    if not data.dropped:
        return
    cutoff = settings.batch.cutoff_len
    share = data.dropped_tokens / max(1, data.dropped_tokens + sum(source.tokens for source in data.sources))
    if share > MOST_LOST:
        values = {"share": f"{share:.0%}", "dropped": f"{data.dropped:,}", "cutoff": cutoff}
        yield problem("plan.lost_tokens", "batch.cutoff_len", **values)
    else:
        yield problem("plan.dropped", "batch.cutoff_len", dropped=data.dropped, cutoff=cutoff)


def _sources(data: RunData, parameters: int, passes: float, identities: Collection[str]) -> Iterator[Problem]:
    for source in data.sources:
        times = source.weight * passes
        if _is(source.name, identities):
            if 0 < times * source.examples < FEW_IDENTITY:
                yield _seldom(source, times)
        elif parameters >= LARGE and MOST_PASSES < times <= mix.MOST_REPEATED and source.examples < FEW_ROWS:
            values = {"name": source.name, "times": round(times), "rows": source.examples, "most": MOST_PASSES}
            yield problem("plan.many_epochs", "schedule.epochs", **values)
    largest = max(data.sources, key=lambda source: source.share)
    if len(data.sources) > 1 and largest.share > MOST_DOMINANT and not _is(largest.name, identities):
        rest = [source.name for source in data.sources if source is not largest]
        values = {"name": largest.name, "share": f"{largest.share:.0%}", "others": ", ".join(rest[:5])}
        yield problem("plan.dominates", "data.balance", **values)


def _seldom(source: Source, times: float) -> Problem:
    exposures = times * source.examples
    weight = math.ceil(source.weight * FEW_IDENTITY / exposures)
    shown = {"rows": source.examples, "times": f"{times:.2g}", "exposures": round(exposures), "few": FEW_IDENTITY}
    return problem("plan.identity_seldom", "data.weights", name=source.name, weight=weight, **shown)


def _is(name: str, identities: Collection[str]) -> bool:
    """Say whether a source is an identity set, or the identity task of a set."""
    return name.partition(":")[0] in identities or "identity" in name.casefold()


def _spoken(count: int | float) -> str:
    """Return a large number as people of the field write it: 5.5M, 8B."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.2g}{letter}" if count < 100 * unit else f"{count / unit:.0f}{letter}"
    return str(count)
