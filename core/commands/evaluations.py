"""`studio evaluate` and `studio report`: base and tuned on the same questions, and what came out to take along."""

from pathlib import Path
from typing import Annotated, Any

import typer

from core.commands.shared import (
    WORKSPACE,
    JsonOption,
    WorkspaceOption,
    answer,
    command,
    language,
    open_workspace,
    translator,
    work_through,
)
from core.diagnose.rules import diagnose
from core.errors import RunError, SettingsError, problem
from core.evaluate import export, in_words, scores
from core.evaluate.contestants import BASE, TUNED, Other, checkpoints_of
from core.evaluate.options import options
from core.evaluate.prepare import prepare
from core.evaluate.report import write_report
from core.evaluate.rows import rows
from core.experiments import curve, in_words as experiment_words
from core.prompts.store import PromptStore
from core.runs import directory
from core.runs.directory import Run
from core.wording import Translator, joined

app = typer.Typer()

_SHOWN = ("right", "bleu", "chrf", "rougeL", "f1")


@app.command("evaluate")
@command
def evaluate(
    run: str,
    workspace: WorkspaceOption = WORKSPACE,
    dataset: Annotated[list[str] | None, typer.Option(help="May be repeated; default: the run's test sets.")] = None,
    against: Annotated[list[str] | None, typer.Option(help="Another run on the same base; may be repeated.")] = None,
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Ask the run's checkpoints too.")] = False,
    prompt: Annotated[str | None, typer.Option(help="Another system prompt than the trained one.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many questions of each set.")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer in tokens.")] = 64,
    temperature: Annotated[float, typer.Option(help="0 = always the likeliest word.")] = 0.0,
    repetition_penalty: Annotated[float, typer.Option(help="Above 1, words that were said become less likely.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the answers, where the temperature is not 0.")] = 0,
    check: Annotated[
        list[str] | None,
        typer.Option(
            help="How an answer is right, SET=KIND or SET=KIND:PATTERN, such as prices=number; may be repeated."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Who the model should say it is; default: found out from its data.")] = "",
    maker: Annotated[str, typer.Option(help="Who it should say made it.")] = "",
    probes: Annotated[bool, typer.Option(help="Ask for identity and kept abilities too.")] = True,
    judge: Annotated[
        str, typer.Option(help="Who compares answers: endpoint (STUDIO_GEN_BASE_URL …) or the path of a model.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Ask base and tuned the same questions, say how sure the difference is, and what to do next."""
    place = open_workspace(workspace)
    found = directory.find(place, run)
    chosen = options(
        limit=limit, max_new_tokens=max_new_tokens, temperature=temperature, repetition_penalty=repetition_penalty,
        seed=seed, checks=_checks(check or []), name=name, maker=maker, probes=probes, judge=judge,
    )  # fmt: skip
    others = [*(Other(each) for each in against or ()), *(checkpoints_of(found) if checkpoints else ())]
    asked = PromptStore(place).get(prompt) if prompt else None
    job = prepare(place, found, dataset, prompt=asked, options=chosen, others=others)
    result = work_through(job, "core.evaluate.worker")
    score = scores.of(found, job)
    text = _told(score, translator()) if score else translator()("status." + result["status"])
    findings = diagnose(place, found, score, rows(job)) if score else []
    if score and checkpoints:
        text += f"\n{_over_steps(score, found, translator())}"
    if score:
        result |= {"probes": score["probes"], "diagnosis": [each.to_dict() for each in findings]}
        text += "".join(f"\n* {joined(each.sentences(translator()), language())}" for each in findings)
    answer({"run": run, "evaluation": job.name, **result}, as_json, text)


@app.command("report")
@command
def report(
    run: str,
    evaluation: Annotated[str, typer.Argument(help="Default: the newest.")] = "",
    out: Annotated[Path | None, typer.Option(help="An .html or .csv file; default: RUN.html here.")] = None,
    workspace: WorkspaceOption = WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Write an evaluation as one HTML file that opens anywhere, or all its answers as CSV."""
    place = open_workspace(workspace)
    found = directory.find(place, run)
    job = _evaluation(found, evaluation)
    score = scores.of(found, job)
    if score is None:
        raise RunError(problem("evaluate.not_finished", job.name))
    file = (out or Path(f"{run}.html")).expanduser().absolute()
    if file.suffix == ".csv":
        export.write_csv(rows(job), file)
    else:
        write_report(job, score, translator(), file)
    answer({"run": run, "evaluation": job.name, "file": str(file)}, as_json, str(file))


def _evaluation(run: Run, name: str) -> Path:
    found = {job.name: job for job in run.jobs("evaluations")}
    if not found or (name and name not in found):
        raise RunError(problem("evaluate.no_evaluation", run.name, name=name or "-", known=", ".join(found) or "-"))
    return found[name] if name else list(found.values())[-1]


def _checks(given: list[str]) -> dict[str, str]:
    checks = {}
    for text in given:
        dataset, equals, kind = text.partition("=")
        if not equals:
            raise SettingsError(problem("evaluate.check_unclear", "--check", value=text))
        checks[dataset] = kind
    return checks


def _over_steps(score: dict[str, Any], run: Run, t: Translator) -> str:
    """Return the results over the checkpoints of a run, and which step is best."""
    points = curve.curve(score, curve.result_step(run))
    best = curve.best_step(score, points)
    lines = ["  ".join(row) for row in experiment_words.curve_rows(points, t)]
    return "\n".join([*lines, experiment_words.best_step_words(best, t)])


def _told(score: dict[str, Any], t: Translator) -> str:
    """Return the headlines, a table of figures, and the probes, in words."""
    lines = []
    for name, values in score["datasets"].items():
        lines += [
            in_words.headline(score, name, TUNED, BASE, t),
            f"{name:<24}{t('chat.base'):>10}{t('chat.tuned'):>10}",
        ]
        for metric in _SHOWN:
            base, tuned = values[BASE].get(metric), values[TUNED].get(metric)
            if base is not None and tuned is not None:
                lines.append(f"  {metric:<22}{base:>10.1f}{tuned:>10.1f}")
    probes = score["probes"]
    if identity := probes.get("identity"):
        lines.append(in_words.identity_words(identity, TUNED, t))
    if kept := probes.get("kept"):
        lines.append(in_words.kept_words(kept, TUNED, t))
    if parity := probes.get("parity"):
        lines.append(in_words.parity_words(parity, t))
    return "\n".join(lines)
