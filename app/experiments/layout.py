"""What the card of experiments is made of, laid out: a new one on the left, all of them and the chosen one beside it."""

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.controls import optional_number
from app.parts import choice, html, picking
from app.pulse import pulse
from core.experiments.directory import KINDS
from core.experiments.sweep import FLOOR
from core.wording import Translator

CHANGES = ("data", "prompt")  # what the second arm of a comparison may have otherwise
SEEDS = (1, 2, 3)
_TRIALS = 9  # to begin with; chosen by us: three values of two settings, each with each


@dataclass(frozen=True)
class Form:
    """A new experiment: which run it is based on, and what it tries."""

    kind: Any
    run: Any
    tests: Any
    arms: Any  # the box of a comparison
    change: Any
    replaced: Any
    data: Any
    prompt: Any
    first: Any
    second: Any
    seeds: Any
    space: Any  # the box of a sweep
    rates: Any
    ranks: Any
    epochs: Any
    trials: Any
    minutes: Any
    floor: Any
    plan: Any

    @property
    def inputs(self) -> set[Any]:
        return {
            self.kind, self.run, self.tests, self.change, self.replaced, self.data, self.prompt, self.first, self.second,
            self.seeds, self.rates, self.ranks, self.epochs, self.trials, self.minutes, self.floor,
        }  # fmt: skip

    @property
    def of_run(self) -> list[Any]:
        """What follows the run that is chosen."""
        return [
            self.run,
            self.tests,
            self.replaced,
            self.data,
            self.prompt,
            self.rates,
            self.ranks,
            self.epochs,
            self.plan,
        ]


@dataclass(frozen=True)
class ExperimentsPage:
    """`chosen` has the name of the one that is shown: the page keeps it, not the server, so that it outlives a restart."""

    form: Form
    listed: Any
    chosen: Any
    status: Any
    progress: Any
    ending: Any
    planned: Any
    go: Any
    stop: Any
    discard: Any
    report: Any
    fill: Any
    notice: Any
    trouble: Any  # what went wrong while the page followed by itself
    seen: Any  # State: what the last look saw
    pulse: Any

    @property
    def watched(self) -> list[Any]:
        return [self.listed, self.chosen, self.status, self.progress, self.ending, self.planned, self.go, self.stop,
                self.discard, self.report, self.fill, self.seen]  # fmt: skip

    @property
    def looked_at(self) -> set[Any]:
        return {self.chosen, self.seen}


def lay_out(t: Translator) -> ExperimentsPage:
    """Return the card, closed at first."""
    with gr.Column(elem_classes="card"):
        with gr.Accordion(t("experiments.title"), open=False, elem_id="experiments"):
            gr.HTML(f'<p class="note">{escape(t("experiments.help"))}</p>', js_on_load=None)
            with gr.Row(elem_classes="work"):
                with gr.Column(scale=4, min_width=300):
                    form = _form(t)
                    notice = html("experiments-notice")
                with gr.Column(scale=7, min_width=300):
                    shown = _chosen(t)
        chosen = gr.Textbox("", visible="hidden", elem_id="experiments-chosen")
        seen, beat = gr.State(None), pulse("experiments")
    return ExperimentsPage(form=form, chosen=chosen, **shown, notice=notice, seen=seen, pulse=beat)


def _form(t: Translator) -> Form:
    kind = gr.Radio([(t(f"experiments.kind.{each}"), each) for each in KINDS], value=KINDS[0], label=t("experiments.kind"),
                    info=t("experiments.kind_help"), elem_id="experiments-kind")  # fmt: skip
    run = choice([], label=t("experiments.run"), info=t("experiments.run_help"), elem_id="experiments-run")
    with gr.Column(elem_id="experiments-arms") as arms:
        compared = _arms(t)
    with gr.Column(elem_id="experiments-space", visible=False) as space:
        tried = _space(t)
    tests = choice([], multiselect=True, value=[], label=t("evaluate.tests"), info=t("evaluate.tests_help"),
                   elem_id="experiments-tests")  # fmt: skip
    plan = gr.Button(
        t("experiments.choose_run"), variant="primary", interactive=False, elem_id="experiments-plan", size="lg"
    )
    return Form(kind=kind, run=run, tests=tests, arms=arms, **compared, space=space, **tried, plan=plan)


def _arms(t: Translator) -> dict[str, Any]:
    change = gr.Radio([(t(f"experiments.change.{each}"), each) for each in CHANGES], value=CHANGES[0],
                      label=t("experiments.change"), info=t("experiments.change_help"),
                      elem_id="experiments-change")  # fmt: skip
    with gr.Row(elem_classes="fields"):
        replaced = choice([], label=t("experiments.replaced"), elem_id="experiments-replaced", min_width=130)
        data = choice([], label=t("experiments.data"), elem_id="experiments-data", min_width=130)
    prompt = choice([], label=t("experiments.prompt"), elem_id="experiments-prompt", visible=False)
    with gr.Row(elem_classes="fields"):
        first = gr.Textbox(label=t("experiments.first"), placeholder=t("experiments.label_found"), max_lines=1,
                           elem_id="experiments-first", min_width=130)  # fmt: skip
        second = gr.Textbox(label=t("experiments.second"), placeholder=t("experiments.label_found"), max_lines=1,
                            elem_id="experiments-second", min_width=130)  # fmt: skip
    seeds = gr.Radio([(str(each), each) for each in SEEDS], value=SEEDS[0], label=t("experiments.seeds"),
                     info=t("experiments.seeds_help"), elem_id="experiments-seeds")  # fmt: skip
    return {
        "change": change,
        "replaced": replaced,
        "data": data,
        "prompt": prompt,
        "first": first,
        "second": second,
        "seeds": seeds,
    }


def _space(t: Translator) -> dict[str, Any]:
    """Return the fields of a sweep; lists are typed, since any number may stand in them."""

    def listed(name: str, label: str) -> Any:
        return gr.Textbox(label=t(label), info=t(f"experiments.{name}_help"), max_lines=1,
                          placeholder=t("experiments.as_it_was"), elem_id=f"experiments-{name}")  # fmt: skip

    rates = listed("rates", "setting.optim.learning_rate.label")
    ranks = listed("ranks", "setting.lora.rank.label")
    epochs = listed("epochs", "setting.schedule.epochs.label")
    with gr.Row(elem_classes="fields"):
        trials = optional_number(t("experiments.no_limit"), _TRIALS, label=t("experiments.trials"), min_width=110,
                                 info=t("experiments.trials_help"), elem_id="experiments-trials")  # fmt: skip
        minutes = optional_number(t("experiments.no_limit"), None, label=t("experiments.minutes"), min_width=110,
                                  info=t("experiments.minutes_help"), elem_id="experiments-minutes")  # fmt: skip
        floor = optional_number("0", FLOOR, label=t("experiments.floor"), min_width=110, info=t("experiments.floor_help"),
                                elem_id="experiments-floor")  # fmt: skip
    return {"rates": rates, "ranks": ranks, "epochs": epochs, "trials": trials, "minutes": minutes, "floor": floor}


def _chosen(t: Translator) -> dict[str, Any]:
    """Return the list, how the chosen experiment stands, and what came out of it."""
    listed = picking("experiments-list")
    status, progress, ending = html("experiments-status"), html("experiments-progress"), html("experiments-ending")
    planned, trouble = html("experiments-planned"), html("experiments-trouble")
    with gr.Row(elem_classes="actions"):
        go = gr.Button(t("experiments.start"), visible=False, elem_id="experiments-go", variant="primary")
        stop = gr.Button(t("experiments.stop"), visible=False, elem_id="experiments-stop", variant="stop")
        discard = gr.Button(t("experiments.discard"), visible=False, elem_id="experiments-discard")
    report = picking("experiments-report")
    with gr.Row(elem_classes="actions"):
        fill = gr.Button(t("experiments.fill"), visible=False, elem_id="experiments-fill")
    return {
        "trouble": trouble,
        "listed": listed,
        "status": status,
        "progress": progress,
        "ending": ending,
        "planned": planned,
        "go": go,
        "stop": stop,
        "discard": discard,
        "report": report,
        "fill": fill,
    }
