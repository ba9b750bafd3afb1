"""The chosen run: how it stands and ended, where it comes from, what it takes on the disk, and its recipe."""

from collections.abc import Sequence
from html import escape

from app import jobs
from app.parts import facts, pick, pill
from app.runs.listing import when_made
from app.studio import Studio
from core.amounts import bytes_of
from core.errors import StudioError
from core.runs import lineage, space
from core.runs.directory import Run
from core.runs.lineage import Node
from core.runs.summary import Summary
from core.settings import to_yaml
from core.wording import Translator


def heading(studio: Studio, run: Summary, t: Translator) -> str:
    """Return what changes while a run is at work: name, state, how it ended, what came out."""
    seen = jobs.look(studio, studio.workspace.runs / run.name)
    chip = f' <span class="chip info">{escape(t("runs.elsewhere"))}</span>' if run.elsewhere else ""
    ending = "" if run.elsewhere and run.status == "lost" else jobs.ending(seen, t)
    told = f'<p class="note">{escape(t("runs.elsewhere_help"))}</p>' if run.elsewhere else ""
    return f"<h3>{escape(run.name)} {pill(run.status, t)}{chip}</h3>{told}{ending}{jobs.outcome(seen, t)}"


def body(studio: Studio, run: Run, summary: Summary, runs: Sequence[Summary], t: Translator) -> str:
    """Return what stays: where the run comes from, what it is made of, and its recipe."""
    prompt = run.config["prompt"]
    named = (
        t("runs.no_prompt") if prompt["text"] is None else f"{prompt['name']} v{prompt['version']}: {prompt['text']}"
    )
    pairs = [
        (t("runs.model"), str(run.config["model"]["path"])),
        (t("train.prompt"), named),
        (t("runs.created"), when_made(summary)),
        (t("runs.size"), _space(run, t)),
        *([] if summary.elsewhere else [(t("runs.folder"), str(run.path))]),
    ]
    tree = _item(lineage.tree(studio.workspace, summary, runs), run.name, t)
    return (
        f'<div class="run-parts"><div>{facts(pairs)}{_recipe(run, t)}</div>'
        f'<div><h4>{escape(t("runs.lineage"))}</h4><ul class="lineage">{tree}</ul></div></div>'
    )


def unneeded_bytes(run: Run) -> int:
    """Return about what a clean-up would free: what it keeps, it reads first, which takes too long for a look."""
    return sum(space.size(each) for each in space.unneeded(run, sure=False))


def _space(run: Run, t: Translator) -> str:
    found = space.of(run.path)
    parts = {"adapter": found.adapter, "checkpoints": found.checkpoints, "rest": found.rest}
    told = [f"{t(f'runs.size.{name}')} {bytes_of(count)}" for name, count in parts.items() if count]
    return f"{bytes_of(found.total)} ({', '.join(told)})" if len(told) > 1 else bytes_of(found.total)


def _recipe(run: Run, t: Translator) -> str:
    try:
        recipe = to_yaml(run.settings)
    except StudioError as error:  # of another version of the studio
        return f'<p class="note">{escape(error.say(t("language.code")))}</p>'
    copied = f'data-copied="{escape(t("notice.copied"))}"'
    return (
        f'<details><summary>{escape(t("runs.recipe"))}</summary><pre class="code">{escape(recipe)}</pre>'
        f'<button type="button" class="small" data-copy="{escape(recipe)}" {copied}>{escape(t("notice.copy"))}</button>'
        "</details>"
    )


def _item(node: Node, chosen: str, t: Translator) -> str:
    kind = f'<span class="kind">{escape(t(f"lineage.{node.kind}"))}</span>'
    if node.kind == "run" and node.name != chosen:
        name = pick(node.name)
    else:
        name = f'<span class="{"this" if node.name == chosen else "that"}">{escape(node.name)}</span>'
    state = f" {pill(node.status, t)}" if node.status else ""
    below = "".join(_item(each, chosen, t) for each in node.children)
    return f"<li>{kind} {name}{state}{f'<ul>{below}</ul>' if below else ''}</li>"
