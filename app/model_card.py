"""The chosen model on the Train page: what it says of itself, and for one of the hub what a download would bring."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr

from app.data import jobs as data_jobs
from app.notices import notice, warnings
from app.parts import facts, html, when
from app.pulse import PULSED
from app.studio import Studio
from core.amounts import bytes_of
from core.errors import ModelError
from core.models.about import facts_of, facts_of_offer
from core.models.cache import is_hub_name
from core.models.fetching import TASK, submit
from core.models.folder import find_model
from core.models.hub import Offer, look_up
from core.models.inspection import inspect
from core.models.size import size_of
from core.runs import supervisor
from core.train.foretold import memory_row
from core.wording import Translator

_OFFER_KEPT, _REFUSAL_KEPT = 600.0, 60.0  # seconds; the card asks after every change of a setting


@dataclass(frozen=True)
class ModelCard:
    """`fetched` counts, for one browser tab, the downloads that have ended; `stamp` is what the last look at one saw."""

    info: Any
    download: Any
    notice: Any
    job: data_jobs.JobPanel
    stamp: Any
    fetched: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.info, self.download]


def build(studio: Studio, t: Translator) -> ModelCard:
    """Lay the card out, empty."""
    info = html("model-info")
    download = gr.Button("", visible=False, elem_id="model-download", size="sm")
    panel = html("model-notice")
    job = data_jobs.build(studio, "model", (TASK,), panel, t)
    return ModelCard(info, download, panel, job, gr.State(()), gr.State(0))


def wire(studio: Studio, card: ModelCard, path: Any, pulse: Any, t: Translator) -> None:
    """Wire the button, and the pulse by which a download is followed; `path` is the control of `model.path`."""

    def start(values: Mapping[Any, Any]) -> dict[Any, Any]:
        job = submit(studio.workspace, str(values[path]))
        supervisor.launch(job, "core.models.worker")
        shown = data_jobs.followed(studio, card.job, job.name, t)
        return {**shown.updates, card.stamp: shown.stamp, card.download: gr.update(visible=False)}

    def tick(values: Mapping[Any, Any]) -> Any:
        news = data_jobs.look(studio, card.job, values[card.job.job], t)
        if news.stamp == values[card.stamp] and not news.ended:
            return gr.skip()
        ended: dict[Any, Any] = {card.fetched: values[card.fetched] + 1} if news.ended else {}
        if news.ended and news.ended.status == "stopped":
            ended[card.job.ending] = f'<p class="note different" role="status">{escape(t("model.cancelled"))}</p>'
        return {**news.updates, card.stamp: () if news.ended else news.stamp, **ended}

    followed = [*card.job.outputs, card.stamp]
    when(card.download.click, start, {path}, [*followed, card.download], card.notice, t)
    watched = {card.job.job, card.stamp, card.fetched}
    when(pulse.click, tick, watched, [*followed, card.fetched], card.notice, t, **PULSED)


def show(studio: Studio, card: ModelCard, path: str, t: Translator) -> dict[Any, Any]:
    """Return the updates for a model: its facts and what is to be said of it, or what the hub would send.

    Raises:
        PathError: if it lies outside of the folders that may be read.
    """
    hidden = gr.update(visible=False)
    try:
        folder = find_model(studio.workspace, path)
    except ModelError as error:
        if error.problems[0].code == "model.not_cached":
            return _of_the_hub(card, path, t)
        folder = studio.workspace.readable(path)
        if is_hub_name(path) or not folder.is_dir():
            return {card.info: notice(error.problems, t("language.code")), card.download: hidden}
    found = inspect(folder)
    remarks = [each for each in found.remarks if each.code != "model.no_template"]  # the plan says it where it matters
    told = notice(found.problems, t("language.code")) + warnings(remarks, t("language.code"))
    return {card.info: (facts(facts_of(found, t)) if found.size else "") + told, card.download: hidden}


def _of_the_hub(card: ModelCard, path: str, t: Translator) -> dict[Any, Any]:
    try:
        offer = _offers.get(path)
    except ModelError as error:
        return {card.info: notice(error.problems, t("language.code")), card.download: gr.update(visible=False)}
    rows = facts_of_offer(offer, t)
    size = size_of(offer.config, offer.name)
    if size is not None:
        rows.append(memory_row(size, path, t))
    label = t("model.download", size=bytes_of(offer.bytes))
    return {card.info: facts(rows), card.download: gr.update(value=label, visible=True)}


@dataclass
class _Offers:
    """What the hub said lately, so that it is not asked after every change of a setting."""

    _known: dict[str, tuple[float, Offer | ModelError]] = field(default_factory=dict)

    def get(self, name: str) -> Offer:
        """Return what the hub offers under a name.

        Raises:
            ModelError: if it offers nothing.
        """
        at, said = self._known.get(name, (0.0, None))
        kept = _REFUSAL_KEPT if isinstance(said, ModelError) else _OFFER_KEPT
        if said is None or time.monotonic() - at > kept:
            try:
                said = look_up(name)
            except ModelError as error:
                said = error
            self._known[name] = (time.monotonic(), said)
        if isinstance(said, ModelError):
            raise said
        return said


_offers = _Offers()
