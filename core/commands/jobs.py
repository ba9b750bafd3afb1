"""`studio train`, `chat` and `merge`: things that happen, each as a worker process."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from core.chat.session import ChatSession, Sampling, Which
from core.commands.plan import MeasureOption, PresetOption, checked, sentence, settings_of, tell, warn
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
from core.merge import prepare as merging
from core.records import Message
from core.runs import directory, ending
from core.train import resume as resuming
from core.train.prepare import prepare

app = typer.Typer()


@app.command("train", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@command
def train(
    context: typer.Context,
    recipe: Path,
    workspace: WorkspaceOption = WORKSPACE,
    preset: PresetOption = None,
    dry_run: Annotated[bool, typer.Option("--plan", help="Say what it would do and stop, as `studio plan`.")] = False,
    measure: MeasureOption = True,
    as_json: JsonOption = False,
) -> None:
    """Train a recipe. Any setting can be given after it: --lora.rank 32 --schedule.epochs 2."""
    place, t = open_workspace(workspace), translator()
    settings = settings_of(place, recipe, preset, context.args)
    if dry_run:
        tell(place, settings, measure, as_json)
        return
    expected = checked(place, settings)
    if expected is not None:
        warn(expected)
        say(sentence(expected, t))
    run = prepare(place, settings)
    say(t("cli.run", name=run.name))
    result = work_through(run.path, "core.train.worker")
    adapter = str(run.adapter() or "")
    answer({"run": run.name, **result, "adapter": adapter}, as_json, f"{run.name}  {t('status.' + result['status'])}")


@app.command("resume")
@command
def resume(run: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Take the steps that a stopped, failed or killed run has left, exactly as if nothing had happened."""
    place, t = open_workspace(workspace), translator()
    found = directory.find(place, run)
    resuming.require_resumable(found)
    position, damaged = resuming.last_intact(found)
    step = position.step if position else 0
    for drifted in resuming.compared(place, found, position, damaged):
        say(drifted.say(language()))
    ending.settle(found)
    resuming.clear(found)
    say(t("cli.resumes", name=run, step=step) if step else t("cli.starts_over", name=run))
    result = work_through(found.path, "core.train.worker")
    adapter = str(found.adapter() or "")
    answer({"run": run, **result, "adapter": adapter}, as_json, f"{run}  {t('status.' + result['status'])}")


@app.command("chat")
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


@app.command("merge")
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
