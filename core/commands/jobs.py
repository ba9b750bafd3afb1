"""`studio train`, `evaluate`, `chat` and `merge`: the four things that happen, each as a worker process."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from core.chat.session import ChatSession, Sampling, Which
from core.commands.shared import (
    WORKSPACE,
    JsonOption,
    WorkspaceOption,
    answer,
    command,
    language,
    open_workspace,
    say,
    translator,
    work_through,
)
from core.duration import spoken
from core.errors import SettingsError, problem
from core.evaluate import prepare as evaluation
from core.merge import prepare as merging
from core.prompts.store import PromptStore, SystemPrompt
from core.records import Message
from core.runs import directory
from core.settings import RunSettings, load_recipe
from core.settings.groups import ModelSettings
from core.train.gate import look
from core.train.plan import Plan
from core.train.prepare import checked_plan, prepare
from core.wording import Translator
from core.workspace import Workspace


@command
def train(
    context: typer.Context,
    recipe: Path,
    workspace: WorkspaceOption = WORKSPACE,
    dry_run: Annotated[bool, typer.Option("--plan", help="Say what it would do and stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a recipe. Any setting can be given after it: --lora.rank 32 --schedule.epochs 2."""
    place, t = open_workspace(workspace), translator()
    settings = _from_here(place, load_recipe(recipe, _overrides(context.args)))
    say(t("cli.phase", name=t("phase.checking_data")))
    expected = checked_plan(place, settings)
    if expected is not None:
        for warning in expected.warnings:
            say(t("cli.warning", text=warning.say(language())))
        say(_sentence(expected, t))
    if dry_run:
        answer(_sizes(expected) | {"findings": _findings(place, settings)}, as_json, "")
        return
    run = prepare(place, settings)
    say(t("cli.run", name=run.name))
    result = work_through(run.path, "core.train.worker")
    adapter = str(run.adapter() or "")
    answer({"run": run.name, **result, "adapter": adapter}, as_json, f"{run.name}  {t('status.' + result['status'])}")


@command
def evaluate(
    run: str,
    workspace: WorkspaceOption = WORKSPACE,
    dataset: Annotated[list[str] | None, typer.Option(help="May be repeated; default: the run's test sets.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Another system prompt than the trained one.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many questions of each set.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask base and tuned the same questions and compare."""
    place = open_workspace(workspace)
    found = directory.find(place, run)
    chosen: SystemPrompt | None = PromptStore(place).get(prompt) if prompt else None
    job = evaluation.prepare(place, found, dataset, prompt=chosen, limit=limit)
    result = work_through(job, "core.evaluate.worker")
    answer({"run": run, "evaluation": job.name, **result}, as_json, _scores(result))


@command
def chat(
    run: Annotated[str, typer.Argument(help="A run, or the path of a model.")],
    message: Annotated[str, typer.Option(help="What to say.")],
    workspace: WorkspaceOption = WORKSPACE,
    base: Annotated[bool, typer.Option("--base", help="Ask the base model instead of the tuned one.")] = False,
    temperature: Annotated[float, typer.Option(help="0 = always the likeliest word.")] = 0.0,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer in tokens.")] = 128,
    as_json: JsonOption = False,
) -> None:
    """Say one thing to a run, under the system prompt it was trained with, and print the answer."""
    place = open_workspace(workspace)
    found = directory.find(place, run) if (place.runs / run / "config.yaml").exists() else None
    if found is None and "/" not in run:
        found = directory.find(place, run)  # says which runs there are
    prompt = found.config["prompt"]["text"] if found else None
    messages = [Message("system", prompt)] if prompt else []
    sampling = Sampling(temperature=temperature, max_new_tokens=max_new_tokens)
    session = ChatSession.open(place, run=found) if found else ChatSession.open(place, model=run)
    pieces = []
    try:
        which: Which = "base" if base or found is None else "tuned"
        for piece in session.ask([*messages, Message("user", message)], which, sampling):
            pieces.append(piece)
            print(piece, end="", file=sys.stderr if as_json else sys.stdout, flush=True)
    finally:
        session.close()
    print(file=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps({"run": run, "model": which, "answer": "".join(pieces)}))


@command
def merge(
    run: str,
    out: Annotated[str | None, typer.Option(help="Folder to write; default: models/RUN in the workspace.")] = None,
    workspace: WorkspaceOption = WORKSPACE,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "bfloat16",
    shard_gb: Annotated[float, typer.Option(help="Largest weight file in GB.")] = 4.0,
    as_json: JsonOption = False,
) -> None:
    """Write the adapter into the weights, and prove that the result answers as the adapter did."""
    place = open_workspace(workspace)
    target = str(Path(out).expanduser().absolute()) if out else None
    job = merging.prepare(place, directory.find(place, run), out=target, dtype=dtype, shard_gb=shard_gb)  # type: ignore[arg-type]
    result = work_through(job, "core.merge.worker")
    text = f"{result.get('folder', '')}  max logit diff {result.get('max_logit_diff', float('nan')):.2g}"
    answer({"run": run, **result}, as_json, text)


def _sentence(expected: Plan, t: Translator) -> str:
    return t(
        "cli.plan",
        examples=f"{expected.examples:,}",
        learnt=f"{expected.learnt_tokens:,}",
        steps=f"{expected.steps:,}",
        time=spoken(expected.seconds, t),
        memory=f"{expected.memory_bytes / 1e9:.1f}",
        total=f"{expected.memory_total / 1e9:.0f}",
    )


def _from_here(place: Workspace, settings: RunSettings) -> RunSettings:
    """Read a model path as a shell would when the workspace has no such folder."""
    path = Path(settings.model.path).expanduser()
    if place.readable(settings.model.path).exists() or not path.is_dir():
        return settings
    return settings.model_copy(update={"model": ModelSettings(path=str(path.absolute()))})


def _sizes(expected: Plan | None) -> dict[str, Any]:
    names = ("examples", "validation_examples", "learnt_tokens", "steps", "seconds", "memory_bytes", "dropped")
    return {name: getattr(expected, name) for name in names} if expected else {}


def _findings(place: Workspace, settings: RunSettings) -> dict[str, Any]:
    """Say what the check of the data would stop the start for, and return its codes by data set."""
    t, checked = translator(), look(place, settings)
    for each in checked:
        for finding in (*each.errors, *each.open):
            say(t("cli.warning", text=finding.problem(each.name).say(language())))
    return {
        each.name: {"errors": [found.code for found in each.errors], "warnings": [found.code for found in each.open]}
        for each in checked
    }


def _overrides(arguments: list[str]) -> dict[str, str]:
    """Read `--lora.rank 32 --seed=3` into dotted path -> text."""
    found: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        flag, mark, value = rest.pop(0).partition("=")
        if not flag.startswith("--") or (not mark and not rest):
            raise SettingsError(problem("usage.override", value=flag))
        found[flag.removeprefix("--")] = value if mark else rest.pop(0)
    return found


def _scores(result: dict[str, Any]) -> str:
    lines = [f"{'':<24}{'base':>8}{'tuned':>8}"]
    for name, scores in result.get("datasets", {}).items():
        for metric in ("right", "exact", "bleu", "rougeL"):
            lines.append(f"{name[:16] + ' ' + metric:<24}{scores['base'][metric]:>8.1f}{scores['tuned'][metric]:>8.1f}")
    return "\n".join(lines)
