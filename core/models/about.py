"""Words for a model: its facts as rows, on the page's card and in the terminal alike."""

from core.amounts import bytes_of, weights
from core.models.hub import Offer
from core.models.inspection import Inspection
from core.models.size import Size, context_of, size_of
from core.wording import Translator


def facts_of(found: Inspection, t: Translator) -> list[tuple[str, str]]:
    """Return label and value of what an inspection found."""
    rows = _of_size(found.size, found.size.context if found.size else 0, t)
    rows.append((t("model.disk"), f"{bytes_of(found.weight_bytes)}, {found.dtype}" if found.dtype else "–"))
    if found.template:
        rows.append((t("model.template"), t(f"model.template_{found.template}")))
        rows.append((t("model.stops"), " ".join(found.stops) or "–"))
    if found.quantised is not None:
        rows.append((t("model.quantised"), f"{found.quantised.method}, {found.quantised.bits or '?'} bit"))
    rows.append((t("model.licence"), found.licence or "–"))
    return rows


def facts_of_offer(offer: Offer, t: Translator) -> list[tuple[str, str]]:
    """Return label and value of what the hub says of a model that is not here yet."""
    size = size_of(offer.config, offer.name)
    return [
        *_of_size(size, context_of(offer.config), t),
        (t("model.disk"), t("model.to_download", size=bytes_of(offer.bytes))),
        (t("model.licence"), offer.licence or "–"),
    ]


def _of_size(size: Size | None, context: int, t: Translator) -> list[tuple[str, str]]:
    return [
        (t("model.parameters"), weights(size.parameters) if size else "–"),
        (t("model.context"), t("model.tokens", n=f"{context:,}") if context else "–"),
    ]
