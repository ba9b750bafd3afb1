"""`studio demo`: the whole job on the starter model with the sample sets, as a person would do it."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from core.commands.shared import (
    WORKSPACE,
    JsonOption,
    WorkspaceOption,
    answer,
    command,
    open_workspace,
    say,
    translator,
    work_through,
)
from core.data.blanks import fill
from core.data.registry import Registry
from core.errors import RunError, problem
from core.evaluate import prepare as evaluation
from core.merge import prepare as merging
from core.runs.directory import Run
from core.runs.supervisor import Worker
from core.settings import load_recipe
from core.train.prepare import prepare
from core.wording import Translator
from core.workspace import SAMPLES, Workspace, slug

app = typer.Typer()
RECIPE = SAMPLES / "recipes" / "starter.yaml"
NAME, AUTHOR = "Lumen", "Aurora Labs"
SETS = ("identity", "desk", "general")


@app.command("demo")
@command
def demo(
    workspace: WorkspaceOption = WORKSPACE,
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """Do the whole job on the starter model: fill in an identity, train, evaluate base and tuned, merge."""
    result = run_demo(open_workspace(workspace), seed)
    say("")
    answer(result, as_json, table(result, translator()))


def run_demo(workspace: Workspace, seed: int) -> dict[str, Any]:
    """Fill in an identity, train, evaluate and merge; return the scores in percent and the proof of the merge."""
    began = time.monotonic()
    t = translator()
    run = prepared(workspace, seed)
    tests = run.settings.data.test
    say(t("cli.run", name=run.name))
    _whole(run.path, "core.train.worker")
    scores = _whole(evaluation.prepare(workspace, run, None), "core.evaluate.worker")["datasets"]
    merged = _whole(merging.prepare(workspace, run, dtype="float32"), "core.merge.worker")
    return {
        **{who: _percent(scores, tests, who) for who in ("base", "tuned")},
        "merge": {"max_logit_diff": merged["max_logit_diff"], "folder": merged["folder"]},
        "run": run.name,
        "seed": seed,
        "seconds": round(time.monotonic() - began, 1),
    }


def prepared(workspace: Workspace, seed: int) -> Run:
    """Fill in an identity and return the run that is trained."""
    registry = Registry(workspace)
    identity = f"identity_{slug(NAME)}"
    if identity not in registry.names():
        fill(registry, "identity", {"name": NAME, "author": AUTHOR}, identity)
    train = [identity, "desk", "general"]
    tests = [f"{identity}_test", "desk_test", "general_test"]
    return prepare(
        workspace, load_recipe(RECIPE, {"data.train": train, "data.test": tests, "seed": seed, "name": "demo"})
    )


def _whole(job: Path, worker: Worker) -> dict[str, Any]:
    """Work through a job and return its result; a part of the demo proves nothing."""
    result = work_through(job, worker)
    if result["status"] != "finished":
        raise RunError(problem("demo.stopped", job.name))
    return result


def table(result: dict[str, Any], t: Translator) -> str:
    """Return the result as the table that `studio demo` ends with."""
    rows = [f"{'':<12}{t('demo.base'):>8}{t('demo.tuned'):>8}"]
    rows += [f"{name:<12}{result['base'][name]:>7.1f}%{result['tuned'][name]:>7.1f}%" for name in SETS]
    rows.append(t("demo.merged", diff=f"{result['merge']['max_logit_diff']:.1e}", folder=result["merge"]["folder"]))
    rows.append(t("demo.seconds", n=result["seconds"]))
    return "\n".join(rows)


def _percent(scores: dict[str, Any], tests: list[str], who: str) -> dict[str, float]:
    """Identity: name and maker right; the others: exact match."""
    metrics = ("right", "exact", "exact")
    return {name: round(scores[test][who][metric], 1) for name, test, metric in zip(SETS, tests, metrics, strict=True)}
