"""One page in one language: the header, six tabs in the order of the work, and what passes between them."""

from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr

from app import standing
from app.evaluate import findings
from app.experiments import card as experiments
from app.owner_guard import pages_of
from app.pages import chat, data, evaluate, merge, runs, train
from app.pages.run_panel import update
from app.parts import html, when
from app.pulse import pulse
from app.runs import rerun
from app.studio import Studio, machine
from core.wording import Translator, languages, words

TABS = ("data", "train", "evaluate", "chat", "merge", "runs")
FIRST = "train"


def build(studio: Studio, language: str) -> gr.Blocks:
    """Return the page of a language."""
    t = words(language)
    with (
        pages_of(studio.owner),
        gr.Blocks(
            title=t("page.title"), analytics_enabled=False, delete_cache=(3600, 86400), fill_width=True
        ) as blocks,
    ):
        # While the page is empty: Gradio builds its server anew for this, a sixth of all the work when everything stands.
        blocks.queue(default_concurrency_limit=None, api_open=False)
        header = html("header", _header(studio, t))
        notice = html("page-notice")
        standing.build(studio, notice, t)
        with gr.Tabs(selected=FIRST, elem_id="tabs") as tabs:
            pages: dict[str, Any] = {}
            shown: dict[str, Any] = {}
            for name, module in zip(TABS, (data, train, evaluate, chat, merge, runs), strict=True):
                with gr.Tab(t(f"tab.{name}"), id=name, elem_id=f"tab-{name}") as shown[name]:
                    if name == "runs":
                        queued = standing.build_queue(studio, t)
                    pages[name] = module.build(studio, t)
                    if name == "evaluate":
                        experimenting = experiments.build(studio, t)
        _wire_tabs(studio, pages, shown, notice, t)
        _wire_onward(studio, pages, tabs, notice, t)
        experiments.wire_onward(studio, experimenting, shown["evaluate"], tabs, pages["train"], t)
        standing.wire_edit(studio, queued, tabs, pages["train"], t)
        _wire_load(studio, blocks, pages, header, notice, t)
    # Gradio looks a thousand times a second whether there is an event, in each language, and a hundred times for the progress
    # of one, which no event here has: measured, 8 % of a core for a page that nobody uses, taken from the training.
    blocks._queue.sleep_when_free = 0.03
    blocks._queue.progress_update_sleep_when_free = 1.0
    return blocks


def _header(studio: Studio, t: Translator) -> str:
    cores, used, total = machine()
    device = t("header.device", cores=cores, used=f"{used:.0f}", total=f"{total:.0f}")
    card = studio.graphics_card
    badge = f"{card} · {device}" if card else t("header.no_gpu", device=device)
    links = "".join(
        f'<a href="/{code}" hreflang="{code}" lang="{code}">{escape(words(code)("language.name"))}</a>'
        for code in languages()
        if code != t("language.code")
    )
    return (
        f'<header class="studio-header"><h1>{escape(t("page.title"))}</h1>'
        f'<span class="badge" title="{escape(str(studio.workspace.root))}">{escape(t("header.workspace"))} '
        f"<b>{escape(studio.workspace.root.name or str(studio.workspace.root))}</b></span>"
        f'<span class="badge" id="device">{escape(badge)}</span>'
        '<span class="badge" id="doing" role="status" hidden></span><span class="space"></span>'
        f'<nav aria-label="{escape(t("header.language"))}">{links}</nav>'
        f'<button type="button" id="theme-toggle" class="small">{escape(t("header.theme"))}</button></header>'
    )


def _wire_tabs(studio: Studio, pages: dict[str, Any], shown: dict[str, Any], notice: Any, t: Translator) -> None:
    """Bring a tab up to date when it is shown."""
    refreshing = _refreshing(studio, pages, t)
    for name, tab in shown.items():
        handler, inputs, outputs = refreshing[name]
        when(tab.select, _positional(handler), inputs, outputs, notice, t)


def _positional(function: Any) -> Any:
    """Hide the defaults of a handler: Gradio would take each parameter for an input."""

    def handler(values: Mapping[Any, Any]) -> Any:
        return function(values)

    return handler


def _refreshing(studio: Studio, pages: dict[str, Any], t: Translator) -> dict[str, tuple[Any, set[Any], list[Any]]]:
    """Return, for each tab, the handler that brings it up to date, with its inputs and outputs."""
    sets, form, asked, talk, merged, listed = (pages[name] for name in TABS)
    return {
        "data": (lambda values: data.refresh(studio, sets, values, t), sets.stage.inputs, sets.refreshed),
        "train": (form.refresh, form.inputs, form.outputs),
        "evaluate": (lambda values: evaluate.refresh(studio, asked, values, t), {asked.run}, evaluate.refreshed(asked)),
        "chat": (lambda values: chat.refresh(studio, talk, values, t), {talk.run}, [talk.run, *talk.state]),
        "merge": (lambda values: merge.refresh(studio, merged, values, t), {merged.run}, [merged.run, merged.proof]),
        "runs": (lambda values: runs.refresh(studio, listed, values, t), listed.inputs, listed.outputs),
    }  # fmt: skip


def _wire_onward(studio: Studio, pages: dict[str, Any], tabs: Any, notice: Any, t: Translator) -> None:
    """Carry a run from where it ended to where it is used next, and from the list to where it is shown."""
    panel = pages["train"].panel
    for name, button in (("evaluate", panel.evaluate), ("merge", panel.merge), ("chat", panel.chat)):
        target = pages[name].run
        prefix = "run:" if name == "chat" else ""

        def carry(
            values: Mapping[Any, Any], name: str = name, target: Any = target, prefix: str = prefix
        ) -> dict[Any, Any]:
            run = studio.run(values[panel.run] or "")
            names = [run.name for run in studio.runs() if run.adapter() is not None]
            choices = [(each, prefix + each) for each in names]
            return {tabs: gr.Tabs(selected=name), target: gr.update(choices=choices, value=prefix + run.name)}

        when(button.click, _positional(carry), {panel.run}, [tabs, target], notice, t, reads=True)

    listed = pages["runs"]

    def show(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {tabs: gr.Tabs(selected="train"), **update(studio, panel, values[listed.chosen], None, t, chosen=True)}

    when(listed.run.show.click, show, {listed.chosen}, [tabs, *panel.outputs], notice, t, reads=True)
    _wire_again(studio, pages, tabs, notice, t)
    _wire_advice(studio, pages, tabs, notice, t)


def _wire_advice(studio: Studio, pages: dict[str, Any], tabs: Any, notice: Any, t: Translator) -> None:
    """Do what a finding of the diagnosis advises: fill the Train form, or that of the evaluation."""
    form, page = pages["train"], pages["evaluate"]

    def advised(values: Mapping[Any, Any], event: gr.EventData) -> dict[Any, Any]:
        run, action, finding = evaluate.chosen_finding(studio, page, values, str(event.pick))
        if action != "train":
            return findings.filled(page, run, values, action, finding)
        settings, minded = findings.next_run(studio, run, finding)
        said = t("advised.filled", name=run.name, action=finding.sentences(t)[2])
        return {tabs: gr.Tabs(selected="train"), **form.fill(settings, said, minded)}

    asked = {page.run, page.result.job, page.form.others}
    outputs = [tabs, *form.filling.outputs, *findings.fields(page)]
    when(page.result.findings.click, advised, asked, outputs, notice, t)


def _wire_again(studio: Studio, pages: dict[str, Any], tabs: Any, notice: Any, t: Translator) -> None:
    """Fill the Train form with the settings of the chosen run: to run it again, or to go on from its adapter."""
    form, listed = pages["train"], pages["runs"]

    def again(values: Mapping[Any, Any]) -> dict[Any, Any]:
        run = studio.run(values[listed.chosen] or "")
        settings, minded = rerun.settings_of(studio, run)
        said = t("runs.filled", name=run.name)
        return {tabs: gr.Tabs(selected="train"), **form.fill(settings, said, minded)}

    def go_on(values: Mapping[Any, Any]) -> dict[Any, Any]:
        run = studio.run(values[listed.chosen] or "")
        settings, minded = rerun.continued(studio, run)
        said = t("runs.filled_continued", name=run.name)
        return {tabs: gr.Tabs(selected="train"), **form.fill(settings, said, minded)}

    outputs = [tabs, *form.filling.outputs]
    when(listed.run.rerun.click, again, {listed.chosen}, outputs, notice, t)
    when(listed.run.continue_from.click, go_on, {listed.chosen}, outputs, notice, t)


def _wire_load(
    studio: Studio, blocks: gr.Blocks, pages: dict[str, Any], header: Any, notice: Any, t: Translator
) -> None:
    """Fill a page that was just opened from what is on disk."""
    form = pages["train"]
    when(blocks.load, lambda values: {header: _header(studio, t)}, set(), [header], notice, t)
    when(blocks.load, form.refresh, form.inputs, form.outputs, notice, t)
    when(blocks.load, lambda values: update(studio, form.panel, None, None, t), set(), form.panel.outputs, notice, t)
    form.plan_now([blocks.load, pulse("again").click])  # and when the connection was lost for a while
