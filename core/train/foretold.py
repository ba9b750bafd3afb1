"""The memory of a training told from the model alone, before its data are chosen and before its weights are downloaded."""

from dataclasses import dataclass, replace

from core.amounts import bytes_of
from core.models.size import Size
from core.settings import RunSettings, from_dict
from core.train.machine import machine
from core.train.memory import MOST_TOKENS, Verdict, fitting, needed, verdict
from core.wording import Translator


@dataclass(frozen=True)
class Foretold:
    """Bytes at the peak, bytes of the machine, and what follows from the two."""

    needed: int
    total: int
    verdict: Verdict


def foretold(size: Size, settings: RunSettings) -> Foretold:
    """Return the memory that these settings take, as if every row were as long as the cutoff."""
    here, batch = machine(), settings.batch
    longest = min(batch.cutoff_len, size.context or batch.cutoff_len)
    found = fitting(size, settings, here, here.free, longest, max(longest, MOST_TOKENS[here.device]))
    most = longest * (batch.micro_batch_size or batch.global_batch_size)
    total = needed(size, settings, here, replace(found, tokens=min(found.tokens, most))).total
    return Foretold(total, here.total, verdict(total, here))


def memory_row(size: Size, path: str, t: Translator) -> tuple[str, str]:
    """Return label and value that tell what a QLoRA of this model with the usual settings takes."""
    found = foretold(size, from_dict({"data": {"train": ["-"]}, "model": {"path": path}}))
    values = {"needed": bytes_of(found.needed), "total": bytes_of(found.total)}
    return t("model.memory"), t(f"model.memory_{found.verdict}", **values)
