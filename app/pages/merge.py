"""Merge: the adapter into the weights, with the proof that nothing changed and how to load the result."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, get_args

import gradio as gr

from app import jobs, turns, watching
from app.notices import done
from app.parts import choice, empty, facts, html, when
from app.pulse import PULSED, pulse
from app.studio import Studio
from core.merge import prepare as merging
from core.wording import Translator


@dataclass(frozen=True)
class MergePage:
    run: Any
    dtype: Any
    shard: Any
    out: Any
    start: Any
    stop: Any
    job: Any
    status: Any
    progress: Any
    ending: Any
    proof: Any
    notice: Any
    seen: Any
    pulse: Any

    @property
    def watched(self) -> list[Any]:
        return [self.job, self.status, self.progress, self.ending, self.proof, self.stop, self.seen]


def build(studio: Studio, t: Translator) -> MergePage:
    """Lay out and wire the page."""
    page = _lay_out(t)

    def choose_run(values: Mapping[Any, Any]) -> dict[Any, Any]:
        name = values[page.run]
        ready = gr.update(value=t("merge.start" if name else "merge.choose_run"), interactive=bool(name))
        return {page.start: ready, page.out: gr.update(placeholder=name or ""), **_watch(studio, page, values, None, t)}

    def start(values: Mapping[Any, Any]) -> dict[Any, Any]:
        run = studio.run(values[page.run] or "")
        name = (values[page.out] or "").strip()
        out = str(studio.workspace.named(studio.workspace.models, name)) if name else None
        shard = values[page.shard]
        job = merging.prepare(
            studio.workspace, run, out=out, dtype=values[page.dtype], shard_gb=float(shard if shard is not None else 0)
        )
        turns.submit(studio, job, "core.merge.worker")
        done(t("merge.started"), t("language.code"))
        return _watch(studio, page, {**values, page.job: job.name}, None, t)

    def tick(values: Mapping[Any, Any]) -> Any:
        if not values[page.run]:  # one that was on its way while a run was chosen would take away what that shows
            return gr.skip()
        return _watch(studio, page, values, values[page.seen], t)

    def choose_job(values: Mapping[Any, Any]) -> Any:
        return _watch(studio, page, values, None, t, chosen=True)

    def stop(values: Mapping[Any, Any]) -> dict[Any, Any]:
        for job in studio.run(values[page.run] or "").jobs("merges"):
            if job.name == values[page.job]:
                turns.stop(studio, job)
        return {page.stop: gr.update(interactive=False)}

    looked_at = {page.run, page.job, page.seen}
    when(page.run.change, choose_run, looked_at, [page.start, page.out, *page.watched], page.notice, t)
    when(page.start.click, start, {*looked_at, page.dtype, page.shard, page.out}, page.watched, page.notice, t)
    when(page.stop.click, stop, {page.run, page.job}, [page.stop], page.notice, t)
    when(page.job.input, choose_job, looked_at, page.watched, page.notice, t)
    when(page.pulse.click, tick, looked_at, page.watched, page.notice, t, **PULSED)
    return page


def refresh(studio: Studio, page: MergePage, values: Mapping[Any, Any], t: Translator) -> dict[Any, Any]:
    """Return the updates of a tab that is shown."""
    hint = {} if watching.usable(studio) else {page.proof: empty(t("merge.no_runs"))}
    return {**watching.run_choices(studio, page.run, values), **hint}


def _lay_out(t: Translator) -> MergePage:
    with gr.Row(elem_classes="work"):
        with gr.Column(scale=4, min_width=300, elem_classes="card"):
            run = choice([], label=t("merge.run"), info=t("merge.run_help"), elem_id="merge-run")
            dtype = choice([(t(f"merge.dtype.{name}"), name) for name in get_args(merging.Dtype)], value="bfloat16",
                           label=t("merge.dtype"), info=t("merge.dtype_help"), elem_id="merge-dtype")  # fmt: skip
            shard = gr.Number(4, label=t("merge.shard"), info=t("merge.shard_help"), step=1, elem_id="merge-shard")
            out = gr.Textbox(label=t("merge.out"), info=t("merge.out_help"), elem_id="merge-out")
            start = gr.Button(
                t("merge.choose_run"), variant="primary", interactive=False, elem_id="merge-start", size="lg"
            )
            notice = html("merge-notice")
        with gr.Column(scale=7, min_width=340, elem_classes="card"):
            job = choice([], label=t("merge.job"), elem_id="merge-job")
            status, progress, ending = html("merge-status"), html("merge-progress"), html("merge-ending")
            proof = html("proof", empty(t("merge.none")))
            with gr.Row(elem_classes="actions"):
                stop = gr.Button(t("merge.stop"), visible=False, elem_id="merge-stop", variant="stop")
    return MergePage(run, dtype, shard, out, start, stop, job, status, progress, ending, proof, notice, gr.State(None),
                     pulse("merges"))  # fmt: skip


def _watch(
    studio: Studio, page: MergePage, values: Mapping[Any, Any], before: Any, t: Translator, chosen: bool = False
) -> Any:  # fmt: skip
    run = studio.run(values[page.run]) if values[page.run] else None
    same_run = before is not None and run is not None and before[0] == run.name
    names, job = watching.shown_job(run, "merges", values[page.job], before if same_run else None, chosen)
    seen = jobs.look(studio, job) if job else None
    state = watching.state_of(run, names, seen)
    if state == before:
        return gr.skip()
    if job is None or seen is None:
        hint = t("merge.none" if run else "merge.no_runs")
        nothing = dict.fromkeys((page.status, page.progress, page.ending), "")
        return {page.seen: state, page.job: gr.update(choices=[], value=None), page.proof: empty(hint),
                page.stop: gr.update(visible=False), **nothing}  # fmt: skip
    return {
        page.seen: state,
        page.job: gr.update(choices=names, value=job.name),
        page.status: jobs.status_line(seen, t),
        page.progress: jobs.progress_bar(seen, t),
        page.ending: jobs.ending(seen, t),
        page.proof: _proof(seen.result, t),
        page.stop: gr.update(visible=seen.active, interactive=not (job / "stop").exists()),
    }


def _proof(result: Mapping[str, Any], t: Translator) -> str:
    """Return what was compared, where the folder is, and how to load it without the studio."""
    if not result:
        return ""
    folder = str(result["folder"])
    code = (
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"tokenizer = AutoTokenizer.from_pretrained({folder!r})\n"
        f"model = AutoModelForCausalLM.from_pretrained({folder!r}, dtype={result['dtype']!r})"
    )
    pairs = [
        (t("proof.exact"), f"{result['max_logit_diff_float32']:.2e}"),
        (t("proof.written", dtype=result["dtype"]), f"{result['max_logit_diff']:.2e}"),
        (t("proof.first"), str(result["first_tokens_same"])),
        (t("proof.folder"), folder),
    ]
    copied = f'data-copied="{escape(t("notice.copied"))}"'
    return (
        f'<div id="merged"><p class="good">{escape(t("proof.same"))}</p>{facts(pairs)}'
        f'<h4>{escape(t("proof.load"))}</h4><pre class="code">{escape(code)}</pre>'
        f'<button type="button" class="small" data-copy="{escape(code)}" {copied}>{escape(t("notice.copy"))}</button></div>'
    )
