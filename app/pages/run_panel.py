"""The run beside the training form: state, progress, curves, log. It reads the run directory each second.

Nothing is pushed and nothing is held in the page: a reload, a second tab and a restarted server read the same files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import charts, jobs
from app.notices import done
from app.parts import choice, empty, html, when
from app.story import Curves
from app.studio import Studio
from core.runs import process
from core.runs.directory import Run
from core.wording import Translator


@dataclass(frozen=True)
class RunPanel:
    """The components. `seen` remembers, for one browser tab, what it shows, so that a tick without news sends nothing."""

    run: Any
    status: Any
    progress: Any
    loss: Any
    rate: Any
    speed: Any
    norm: Any
    warnings: Any
    ending: Any
    log: Any
    notice: Any
    stop: Any
    onward: Any
    evaluate: Any
    chat: Any
    merge: Any
    seen: Any
    timer: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.run, self.status, self.progress, self.loss, self.rate, self.speed, self.norm, self.warnings, self.ending,
                self.log, self.stop, self.onward, self.seen]  # fmt: skip


def build(studio: Studio, t: Translator) -> RunPanel:
    """Lay out and wire the panel."""
    panel = _lay_out(t)

    def tick(values: Mapping[Any, Any]) -> Any:
        return update(studio, panel, values[panel.run], values[panel.seen], t)

    def choose(values: Mapping[Any, Any]) -> Any:
        return update(studio, panel, values[panel.run], None, t, chosen=True)

    def stop(values: Mapping[Any, Any]) -> Any:
        run = studio.run(values[panel.run] or "")
        process.ask_to_stop(run.path)
        done(t("run.stop_asked", name=run.name), t("language.code"))
        return {panel.stop: gr.update(interactive=False)}

    inputs = {panel.run, panel.seen}
    when(panel.timer.tick, tick, inputs, panel.outputs, panel.notice, t, toast=False)
    when(panel.run.input, choose, inputs, panel.outputs, panel.notice, t)
    when(panel.stop.click, stop, {panel.run}, [panel.stop], panel.notice, t)
    return panel


def update(
    studio: Studio, panel: RunPanel, shown: str | None, before: Any, t: Translator, chosen: bool = False
) -> dict[Any, Any]:
    """Return the updates for what has changed since `before`, or a skip.

    A tab that shows the newest run follows to a newer one; a tab where an older one was chosen stays with it.
    """
    names = [run.name for run in studio.runs()]
    name = follow(names, shown, before[0] if before else None, chosen)
    if name is None:
        return gr.skip() if before == (names, None, False) else {panel.seen: (names, None, False), **_nothing(panel, t)}
    run = studio.run(name)
    seen = jobs.look(studio, run.path)
    state = (names, seen.stamp, (run.path / "stop").exists())
    if state == before:
        return gr.skip()
    return {panel.seen: state, panel.run: gr.update(choices=names, value=name), **_shown(panel, run, seen, t)}


def follow(names: list[str], shown: str | None, before: list[str] | None, chosen: bool = False) -> str | None:
    """Return which of the runs (newest first) to show: `shown`, or the newest if the newest was shown before."""
    if not names:
        return None
    was_newest = before is None or not before or shown == before[0]
    if shown in names and (chosen or not was_newest):
        return shown
    return names[0]


def _lay_out(t: Translator) -> RunPanel:
    run = choice([], label=t("run.choose"), elem_id="run")
    status = html("run-status")
    progress = html("run-progress")
    ending = html("run-ending")
    notice = html("run-notice")
    loss = html("loss-chart")
    with gr.Row(elem_classes="pair"):
        rate = html("rate-chart")
        speed = html("speed-chart")
        norm = html("norm-chart")
    warnings = html("run-warnings")
    with gr.Row(elem_classes="actions"):
        stop = gr.Button(t("run.stop"), visible=False, elem_id="stop", variant="stop")
    with gr.Row(visible=False, elem_classes="actions", elem_id="onward") as onward:
        evaluate = gr.Button(t("run.evaluate"), elem_id="go-evaluate")
        chat = gr.Button(t("run.chat"), elem_id="go-chat")
        merge = gr.Button(t("run.merge"), elem_id="go-merge")
    with gr.Accordion(t("run.log"), open=False, elem_id="run-log-box"):
        log = gr.Textbox(
            lines=10, max_lines=18, interactive=False, show_label=False, label=t("run.log"), elem_id="run-log"
        )
    return RunPanel(run, status, progress, loss, rate, speed, norm, warnings, ending, log, notice, stop, onward, evaluate,
                    chat, merge, gr.State(None), gr.Timer(1.0))  # fmt: skip


def _nothing(panel: RunPanel, t: Translator) -> dict[Any, Any]:
    return {
        panel.run: gr.update(choices=[], value=None),
        panel.status: empty(t("run.none")),
        **dict.fromkeys(
            (panel.progress, panel.loss, panel.rate, panel.speed, panel.norm, panel.warnings, panel.ending, panel.log),
            "",
        ),
        panel.stop: gr.update(visible=False),
        panel.onward: gr.update(visible=False),
    }


def _shown(panel: RunPanel, run: Run, seen: jobs.Seen, t: Translator) -> dict[Any, Any]:
    total = seen.total_steps
    stopping = (run.path / "stop").exists()
    return {
        panel.status: jobs.status_line(seen, t),
        panel.progress: jobs.progress_bar(seen, t),
        panel.loss: charts.chart(charts.loss_series(Curves.of(seen.events), t), t("chart.loss"), total, t)
        + charts.by_source(Curves.of(seen.events), t),
        panel.rate: charts.chart(charts.rate_series(Curves.of(seen.events), t), t("chart.rate"), total, t, small=True),
        panel.speed: charts.chart(
            charts.speed_series(Curves.of(seen.events), t), t("chart.speed"), total, t, small=True
        ),
        panel.norm: charts.chart(charts.norm_series(Curves.of(seen.events), t), t("chart.norm"), total, t, small=True),
        panel.warnings: jobs.warned(seen, t),
        panel.ending: jobs.ending(seen, t) + jobs.outcome(seen, t),
        panel.log: jobs.raw_log(run.path),
        panel.stop: gr.update(visible=seen.active, interactive=not stopping),
        panel.onward: gr.update(visible=not seen.active and run.adapter() is not None),
    }
