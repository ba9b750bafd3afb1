"""A plan in words, for the page and the command line alike."""

from typing import Any

from core.duration import spoken
from core.train.memory import Change
from core.train.plan import Plan
from core.wording import Translator


def rows(found: Plan, t: Translator) -> list[tuple[str, str]]:
    """Return the plan as pairs of name and text."""
    return [
        (
            t("plan.row.examples"),
            t("plan.examples", n=f"{found.examples:,}", validation=f"{found.validation_examples:,}"),
        ),
        (t("plan.row.tokens"), t("plan.tokens", learnt=f"{found.learnt_tokens:,}", tokens=f"{found.tokens:,}")),
        (t("plan.row.lost"), t("plan.lost", rows=f"{found.lost_rows:.1%}", tokens=f"{found.lost_tokens:.1%}")),
        (t("plan.row.steps"), t("plan.steps", steps=f"{found.steps:,}", each=f"{found.steps_per_epoch:,}")),
        (
            t("plan.row.trained"),
            t("plan.trained", trained=f"{found.trained_parameters:,}", all=f"{found.parameters:,}"),
        ),
        (t("plan.row.memory"), memory(found, t)),
        (t("plan.row.time"), t("plan.time", time=spoken(found.seconds, t), basis=basis(found, t))),
    ]


def memory(found: Plan, t: Translator) -> str:
    """Return what is needed of what is there, and the verdict."""
    verdict = t("plan." + found.verdict)
    key = "plan.memory.measured" if found.speed.peak_bytes else "plan.memory.counted"
    return t(key, needed=gigabytes(found.memory_bytes), total=gigabytes(found.memory_total),
             free=gigabytes(found.machine.free), verdict=verdict)  # fmt: skip


def memory_parts(found: Plan, t: Translator) -> list[tuple[str, int]]:
    """Return what the memory is for, with its bytes; parts of nothing are left out."""
    return [(t(f"plan.part.{name}"), bytes) for name, bytes in found.memory.parts().items() if bytes]


def change(each: Change, t: Translator) -> str:
    """Return settings that need less, with what the run would need."""
    what = ", ".join(f"{path} {value(setting)}" for path, setting in each.settings.items())
    return t("plan.change", what=what, needed=gigabytes(each.bytes), verdict=t("plan." + each.verdict))


def basis(found: Plan, t: Translator) -> str:
    """Return where the time comes from."""
    return t("plan.basis." + found.speed.basis)


def gigabytes(bytes: int) -> str:
    return f"{bytes / 1e9:.1f}" if bytes >= 1e8 else f"{bytes / 1e9:.2f}"


def value(setting: Any) -> str:
    """Return a setting as a flag or a key takes it."""
    if isinstance(setting, list):
        return ",".join(setting)
    return f"{setting:g}" if isinstance(setting, float) else str(setting)
