"""Train: three cards (model, data, system prompt), the plan in one sentence, Start, and the run beside it."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app import filling, identity, mixture, model_card, plan_card, preset_chooser, turns
from app.controls import Controls, advanced, control, settings_from
from app.datasets import blanks
from app.filling import Filling
from app.model_card import ModelCard
from app.notices import done, notice
from app.pages import prompt_card, run_panel
from app.pages.run_panel import RunPanel
from app.parts import facts, html, when
from app.plan_card import PlanCard
from app.preview import legend, nth, rendered, tokenizer
from app.pulse import PULSED
from app.studio import Studio
from app.waiting import Waited
from core.errors import StudioError
from core.models.folder import find_model
from core.models.new_tokens import tokenizer_folder
from core.progress import Progress, silent
from core.render.xray import under_prompt
from core.runs import queue
from core.settings import RunSettings, load_recipe
from core.train.prepare import prepare
from core.wording import Translator
from core.workspace import SAMPLES

RECIPE = SAMPLES / "recipes" / "starter.yaml"
_VISIBLE = ("method.name", "lora.rank", "optim.learning_rate", "schedule.epochs", "batch.global_batch_size",
            "batch.cutoff_len")  # fmt: skip
_AT_ONCE = 0.7  # seconds that a plan may take before the page says what it waits for; chosen by us
_READ = ("model.path", "model.add_chatml", "data.train", "data.template")  # settings that decide how a row is read
_ON_CARDS = ("prompt.version", "prompt.blanks")


@dataclass(frozen=True)
class TrainPage:
    panel: RunPanel
    refresh: Any  # handler of a shown tab: choices from disk
    outputs: list[Any]
    inputs: set[Any]
    notice: Any
    plan_now: Any  # () -> wires a trigger to the plan
    filling: Filling  # what `fill` needs, and its outputs
    fill: Any  # (settings, said, minded) -> updates that put the settings of a run into the form


@dataclass(frozen=True)
class _Form:
    controls: Controls
    model: ModelCard
    data_info: Any
    form: identity.IdentityForm
    data_notice: Any
    prompt: prompt_card.PromptCard
    preview: Any
    preview_notice: Any
    next: Any
    example: Any
    plan: PlanCard
    filling: Filling

    @property
    def train(self) -> Any:
        return self.controls["data.train"]

    @property
    def test(self) -> Any:
        return self.controls["data.test"]


def build(studio: Studio, t: Translator) -> TrainPage:
    """Lay out and wire the page."""
    told = html("train-filled")
    with gr.Row(elem_classes="cards"):
        form_parts = _cards(studio, load_recipe(RECIPE), t)
    with gr.Row(elem_classes="work"):
        with gr.Column(scale=6, min_width=340, elem_classes="card"):
            form = _settings(studio, {**form_parts, "told": told}, load_recipe(RECIPE), t)
        with gr.Column(scale=5, min_width=340, elem_classes="card"):
            gr.HTML(f"<h3>{escape(t('run.title'))}</h3>", js_on_load=None)
            panel = run_panel.build(studio, t)
    _wire(studio, form, panel, t)

    def refresh(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return _refreshed(studio, form, values)

    inputs = {form.train, form.test, form.controls["model.path"], form.controls["prompt.name"]}
    outputs = [form.train, form.test, form.controls["model.path"], form.controls["prompt.name"]]
    return TrainPage(
        panel, refresh, outputs, inputs, form.plan.start_notice, lambda on: _wire_plan(studio, form, on, t),
        form.filling, lambda settings, said="", minded=(), editing="":
        filling.fill(studio, form.filling, settings, t, said, minded, editing),
    )  # fmt: skip


def _cards(studio: Studio, settings: RunSettings, t: Translator) -> dict[str, Any]:
    made: dict[str, Any] = {}
    controls: Controls = {}
    names = studio.registry.names()
    with gr.Column(min_width=260, elem_classes="card"):
        _heading(1, t("train.model"))
        controls["model.path"] = control("model.path", settings, t, studio.models())
        made["model"] = model_card.build(studio, t)
    with gr.Column(min_width=260, elem_classes="card"):
        _heading(2, t("train.data"))
        controls["data.train"] = control("data.train", settings, t, names)
        made["form"] = identity.build("train", t)
        controls["data.test"] = control("data.test", settings, t, names)
        made["data_info"] = html("data-info")
        made["data_notice"] = html("train-data-notice")
    with gr.Column(min_width=260, elem_classes="card"):
        _heading(3, t("train.prompt"))
        made["prompt"] = prompt_card.build(studio, controls, settings, t)
    return {"controls": controls, **made}


def _settings(studio: Studio, made: dict[str, Any], settings: RunSettings, t: Translator) -> _Form:
    controls = made["controls"]
    card = plan_card.build(studio, t)
    gr.HTML(f"<h3>{escape(t('train.settings'))}</h3>", js_on_load=None)
    chooser = preset_chooser.build(t)
    with gr.Row(elem_classes="fields"):
        for path in _VISIBLE:
            controls[path] = control(path, settings, t, min_width=150)
    with gr.Accordion(t("train.advanced"), open=False, elem_id="advanced"):
        controls |= {"name": control("name", settings, t)}
        controls |= advanced(settings, t, skip=(*_ON_CARDS, "name"))
    with gr.Accordion(t("preview.title"), open=False, elem_id="preview-box"):
        gr.HTML(legend(t), js_on_load=None)
        preview_notice = html("preview-notice")
        preview = html("preview")
        following = gr.Button(t("preview.next"), size="sm", elem_id="preview-next")
    preset_chooser.wire(chooser, controls, t)
    editing = gr.Textbox("", visible="hidden", elem_id="train-editing")
    return _Form(controls, made["model"], made["data_info"], made["form"], made["data_notice"], made["prompt"], preview,
                 preview_notice, following, gr.State(0), card,
                 Filling(controls, made["prompt"], chooser, made["told"], editing))  # fmt: skip


def _heading(number: int, text: str) -> None:
    gr.HTML(f'<h3><span class="step">{number}</span>{escape(text)}</h3>', js_on_load=None)


def _wire(studio: Studio, form: _Form, panel: RunPanel, t: Translator) -> None:
    changes = [component.change for component in form.controls.values()] + [form.prompt.text.change]
    model_card.wire(studio, form.model, form.controls["model.path"], panel.pulse, t)
    _wire_plan(studio, form, [*changes, form.plan.measured.change, form.model.fetched.change], t)
    _wire_measuring(studio, form, panel.pulse, t)

    editing, told = form.filling.editing, form.filling.told

    def start(values: Mapping[Any, Any]) -> dict[Any, Any]:
        settings = settings_from(values, form.controls)
        run = prepare(studio.workspace, settings)
        done(_submitted(studio, run.name, values[editing], t), t("language.code"))
        return {editing: "", told: "", **run_panel.update(studio, panel, run.name, None, t)}

    def fill(values: Mapping[Any, Any]) -> dict[Any, Any]:
        chosen = [*(values[form.train] or []), *(values[form.test] or [])]
        made = identity.register(studio, form.form, values, list(blanks(studio, list(dict.fromkeys(chosen)))))
        done(t("identity.done", names=", ".join(entry.name for entry in made)), t("language.code"))
        return {
            part: gr.update(choices=studio.registry.names(), value=_swapped(studio, values[part] or []))
            for part in (form.train, form.test)
        }

    def preview(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {form.preview: _preview(studio, form, values, 0, t), form.example: 0}

    def following(values: Mapping[Any, Any]) -> dict[Any, Any]:
        number = values[form.example] + 1
        return {form.preview: _preview(studio, form, values, number, t), form.example: number}

    def accept(values: Mapping[Any, Any]) -> dict[Any, Any]:
        plan_card.accept(studio, settings_from(values, form.controls))
        done(t("train.accepted"), t("language.code"))
        return _planned(studio, form, values, t)

    def weigh(values: Mapping[Any, Any], event: gr.EventData) -> dict[Any, Any]:
        return {weights: mixture.weighed(values[weights], str(event.name), event.weight)}

    everything = set(form.controls.values())
    weights = form.controls["data.weights"]
    when(
        form.plan.start.click, start, {*everything, editing}, [editing, told, *panel.outputs], form.plan.start_notice, t
    )
    when(form.plan.accept.click, accept, {*everything, form.prompt.text}, _plan_outputs(form), form.plan.notice, t)
    when(form.plan.mixture.click, weigh, {weights}, [weights], form.plan.notice, t, reads=True)
    when(
        form.form.button.click,
        fill,
        {form.train, form.test, *form.form.inputs},
        [form.train, form.test],
        form.data_notice,
        t,
    )
    looked_at = {form.train, form.example, *(form.controls[each] for each in (*_READ, "prompt.name", "prompt.version",
                                                                          "prompt.blanks"))}  # fmt: skip
    shown = [form.preview, form.example]
    triggers = [each.change for each in looked_at if each is not form.example]
    when(triggers, preview, looked_at, shown, form.preview_notice, t, toast=False, trigger_mode="always_last")
    when(form.next.click, following, looked_at, shown, form.preview_notice, t, reads=True)


def _submitted(studio: Studio, name: str, edited: str, t: Translator) -> str:
    """Put a new run into the queue, in the place of the waiting one that was edited, and return what to say of it."""
    run = studio.run(name)
    if edited and queue.replace(studio.workspace, studio.workspace.runs / edited, run.path, "core.train.worker"):
        turns.begin_ready(studio)
        return t("train.replaced", name=run.name, old=edited)
    turns.submit(studio, run.path, "core.train.worker")
    place = queue.place(studio.workspace, run.path)
    return t("train.waits", name=run.name, place=place) if place else t("train.started", name=run.name)


def _wire_plan(studio: Studio, form: _Form, triggers: Any, t: Translator) -> None:
    inputs = {*form.controls.values(), form.prompt.text}

    def work_out(values: Mapping[Any, Any]) -> Iterator[dict[Any, Any]]:
        pool, waited = ThreadPoolExecutor(1), Waited()
        try:
            planned = pool.submit(_planned, studio, form, values, t, waited)
            while wait([planned], _AT_ONCE).not_done:
                yield plan_card.waiting(form.plan, "count", t, waited.words("plan.tokenising", t))
            yield planned.result()
        finally:
            pool.shutdown(wait=False)  # a closed page leaves the work to whoever comes next

    when(
        triggers,
        work_out,
        inputs,
        _plan_outputs(form),
        form.plan.notice,
        t,
        toast=False,
        trigger_mode="always_last",
        reads=True,
    )


def _wire_measuring(studio: Studio, form: _Form, pulse: Any, t: Translator) -> None:
    card = form.plan

    def measure(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return plan_card.measure(studio, card, settings_from(values, form.controls), t)

    def tick(values: Mapping[Any, Any]) -> Any:
        return plan_card.tick(studio, card, values, t)

    followed = {card.job.job, card.stamp, card.measured}
    when(
        card.measure.click,
        measure,
        set(form.controls.values()),
        [*card.job.outputs, card.stamp, card.measure],
        card.notice,
        t,
    )
    when(pulse.click, tick, followed, [*card.job.outputs, card.stamp, card.measured], card.notice, t, **PULSED)


def _plan_outputs(form: _Form) -> list[Any]:
    return [*form.plan.outputs, *form.model.outputs, form.data_info, *form.form.outputs]


def _planned(
    studio: Studio, form: _Form, values: Mapping[Any, Any], t: Translator, progress: Progress = silent
) -> dict[Any, Any]:
    """Return the plan in words, or what is missing or wrong in its place."""
    updates: dict[Any, Any] = {form.model.info: "", form.model.download: gr.update(visible=False), form.data_info: ""}
    path = values[form.controls["model.path"]]
    chosen = list(dict.fromkeys([*(values[form.train] or []), *(values[form.test] or [])]))
    unfilled = blanks(studio, chosen)
    updates |= identity.show(form.form, unfilled, t)
    missing = _missing(studio, form, values, bool(unfilled))
    updates |= plan_card.waiting(form.plan, missing, t)
    try:
        if path:
            updates |= model_card.show(studio, form.model, path, t)
        if missing:
            return updates
        found, shown = plan_card.show(studio, form.plan, settings_from(values, form.controls), t, progress)
    except StudioError as error:
        if error.problems[0].code == "model.not_cached":  # the card of the model says more
            return {**updates, form.plan.sentence: plan_card.waiting_words(t("plan.not_here"))}
        return {**updates, form.plan.notice: notice(error.problems, t("language.code"))}
    return {**updates, **shown, form.data_info: facts(plan_card.sources(found, t))}


def _missing(studio: Studio, form: _Form, values: Mapping[Any, Any], unfilled: bool) -> str:
    """Return which step is still to do, "" when Start can be pressed."""
    if not values[form.controls["model.path"]]:
        return "choose_model"
    if not values[form.train]:
        return "choose_data"
    if unfilled:
        return "fill_blanks"
    return "save_prompt" if prompt_card.edited(studio, form.prompt, values) else ""


def _preview(studio: Studio, form: _Form, values: Mapping[Any, Any], number: int, t: Translator) -> str:
    names = values[form.train] or []
    path = values[form.controls["model.path"]]
    if not names or not path:
        return f'<p class="waiting">{escape(t("preview.choose"))}</p>'
    # Round the data sets: the first example of each, then the second of each.
    record, place, total = nth(studio, names[number % len(names)], number // len(names))
    settings = settings_from(values, {key: form.controls[key] for key in _READ})
    model = tokenizer(tokenizer_folder(studio.workspace, settings, find_model(studio.workspace, path)))
    prompt = prompt_card.chosen(studio, form.prompt, values)
    where = t("preview.where", name=names[number % len(names)], number=place + 1, total=total)
    return f"<p>{escape(where)}</p>{rendered(under_prompt(record, prompt), model, t)}"


def _swapped(studio: Studio, names: list[str]) -> list[str]:
    """Return the names with those that have blanks exchanged for their filled copies, where there are any."""
    unfilled = blanks(studio, names)
    return [(identity.filled_of(studio, name) or name) if name in unfilled else name for name in names]


def _refreshed(studio: Studio, form: _Form, values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the choices as they are on disk now, keeping what is chosen while it exists."""
    names = studio.registry.names()
    updates = {}
    for part in (form.train, form.test):
        chosen = values[part] or []
        kept = _swapped(studio, [name for name in chosen if name in names])
        # A value is sent only when it must change: the person may have chosen another one in the meantime.
        updates[part] = gr.update(choices=names) if kept == chosen else gr.update(choices=names, value=kept)
    return {
        **updates,
        form.controls["model.path"]: gr.update(choices=studio.models()),
        form.controls["prompt.name"]: gr.update(choices=prompt_card.names(studio)),
    }
