"""How a training ended, in words, for the page and the command line alike. No torch here."""

from core.duration import spoken
from core.runs import events
from core.wording import Translator


def sentences(ended: events.TrainingEnded, t: Translator) -> list[str]:
    """Return why a training ended, which step is its result, and what the validation said."""
    found = [t(f"outcome.{ended.reason}", step=f"{ended.step:,}", patience=ended.patience)]
    kept = f"{ended.kept_step:,}"
    if ended.best_step is None or ended.best_loss is None:
        return [*found, t("outcome.kept", kept=kept)]
    loss = f"{ended.best_loss:.3f}"
    if ended.kept_step == ended.best_step:
        found.append(t("outcome.kept_best", kept=kept, loss=loss))
    else:
        found += [t("outcome.kept", kept=kept), t("outcome.best", best=f"{ended.best_step:,}", loss=loss)]
    if ended.untrained_loss is not None:
        found.append(t("outcome.untrained", loss=f"{ended.untrained_loss:.3f}"))
    return found


def compared(ended: events.TrainingEnded, t: Translator) -> list[tuple[str, str, str]]:
    """Return what it is about, what the plan said and what was measured, for all that is known of both."""
    names = [name for name in ("steps", "seconds", "memory_bytes") if name in ended.measured and name in ended.planned]
    return [
        (t(f"outcome.{name}"), _amount(name, ended.planned[name], t), _amount(name, ended.measured[name], t))
        for name in names
    ]


def _amount(name: str, value: float, t: Translator) -> str:
    if name == "seconds":
        return spoken(value, t)
    return f"{value / 1e9:.2f} GB" if name == "memory_bytes" else f"{value:,.0f}"
