"""`studio data recognise, check, fix, accept, verify`: what a file is, what is wrong with it, and what to do about that."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from core.commands.data_work import listened, pairs, perform
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
)
from core.curate import checking
from core.data import info_file
from core.data.entry import parse
from core.data.registry import INFO, DatasetEntry, Registry
from core.doctor.codes import CODES, is_acceptance
from core.doctor.fixes import FIXES
from core.doctor.report import Finding, Report
from core.errors import Problem, SettingsError, StudioError, problem
from core.prompts.store import PromptStore
from core.wording import joined
from core.workspace import Workspace

app = typer.Typer()
_PLACES = 8  # line numbers that a finding lists on the terminal; --json has up to a thousand


@app.command("recognise")
@command
def recognise_file(file: Path, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Say what a file is and how that was told. Nothing is registered."""
    from core.data.formats import recognise
    from core.data.readers import columns_of, sample_rows

    place = open_workspace(workspace)
    if (file / INFO).is_file():
        return _tell_folder(place, file, as_json)
    rows = sample_rows(file)
    found = recognise(rows, file.name)
    fits: list[dict[str, Any]] = [
        {
            "kind": fit.kind,
            "format": fit.reading.format,
            "options": fit.reading.options,
            "share": fit.share,
            "why": joined(fit.why.sentences(language())[:2], language()),
            "questions": [
                {
                    "key": each.key,
                    "choices": list(each.choices),
                    "default": each.default,
                    "why": each.why.say(language()),
                }
                for each in fit.questions
            ],
        }
        for fit in found.fits
    ]
    lines = []
    for fit in fits:
        lines.append(f"{fit['kind']}  {fit['why']}")
        lines += [f"    {each['why']}  --option {each['key']}={'|'.join(each['choices'])}" for each in fit["questions"]]
    values = {"file": str(file), "sure": found.sure, "fits": fits, "counts": dict(found.counts), "rows": found.rows}
    unknown = problem("data.unknown_columns", file.name, has=columns_of(rows[0].values)).say(language())
    answer(values, as_json, "\n".join(lines) or unknown)


def _tell_folder(place: Workspace, folder: Path, as_json: bool) -> None:
    """Say which sets the dataset_info.json of a LLaMA-Factory folder has, and how it says that they are read."""
    entries = info_file.read(folder / INFO)
    found: list[dict[str, Any]] = []
    for name, values in entries.items():
        entry = parse(place, name, values, folder.resolve(), False)
        missing = None if entry.file.is_file() else problem("data.file_missing", name, file=str(entry.file))
        wrong = entry.problem or missing
        found.append({"name": name, "format": entry.formatting, "problem": wrong and wrong.say(language())})
    lines = [each["problem"] or f"{each['name']}  {each['format']}" for each in found]
    answer({"folder": str(folder), "datasets": found}, as_json, "\n".join(lines) or translator()("cli.none_yet"))


@app.command("check")
@command
def check_set(
    name: Annotated[str, typer.Argument(help="A registered name, or a file.")],
    workspace: WorkspaceOption = WORKSPACE,
    model: Annotated[str | None, typer.Option(help="Count tokens as this model does.")] = None,
    cutoff_len: Annotated[int | None, typer.Option(help="Longest example in tokens.", min=1)] = None,
    prompt: Annotated[str | None, typer.Option(help="System prompt to count with.")] = None,
    against: Annotated[list[str] | None, typer.Option(help="Test set that no row may stand in.")] = None,
    formatting: Annotated[str | None, typer.Option("--format", help="How a file is read.")] = None,
    option: Annotated[list[str] | None, typer.Option("--option", help="A choice that a format needs.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Look at the structure only.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say everything that is wrong with a data set; exit code 1 for errors, 0 for warnings."""
    place = open_workspace(workspace)
    registered = name in Registry(place).entries() or not Path(name).expanduser().exists()
    subject = {"name": name} if registered else {"file": str(Path(name).expanduser().absolute())}
    asked: dict[str, Any] = {"model": model, "cutoff_len": cutoff_len, "against": against, "thorough": not quick}
    if prompt:
        asked["system_prompt"] = PromptStore(place).get(prompt).text
    entry, report = listened(checking.examined, place, **subject, **asked, formatting=formatting, options=pairs(option))
    read = (f" --format {formatting}" if formatting else "") + "".join(f" --option {each}" for each in option or ())
    given = {"model": model, "cutoff-len": cutoff_len, "prompt": prompt, "against": against}
    _tell(report, entry, given, entry.name if registered else f"{shlex.quote(name)}{read}")
    texts = [_told(each, entry.name, entry.accepted) for each in report.findings]
    values = {
        "name": name,
        "status": "error" if report.errors else "ok",
        **report.to_dict(),
        "findings": texts,
        "problems": [each for each in texts if each["severity"] == "error"],
        "notes": [each for each in texts if each["severity"] != "error"],
    }
    answer(values, as_json, "" if report.findings else translator()("cli.fine", name=name))
    if report.errors:
        raise typer.Exit(1)


@app.command("fix")
@command
def fix_set(
    name: str,
    codes: Annotated[list[str], typer.Argument(help="Fixes or findings, as `studio data check NAME` names them.")],
    workspace: WorkspaceOption = WORKSPACE,
    value: Annotated[list[str] | None, typer.Option("--value", help="For filling blanks, such as name=Lumen.")] = None,
    against: Annotated[list[str] | None, typer.Option(help="Test set that no row may stand in.")] = None,
    model: Annotated[str | None, typer.Option(help="Count tokens as this model does.")] = None,
    cutoff_len: Annotated[int | None, typer.Option(help="Longest example in tokens.", min=1)] = None,
    prompt: Annotated[str | None, typer.Option(help="System prompt to count with.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Mend a data set as a new version; `studio data undo` goes back."""
    place = open_workspace(workspace)
    how: dict[str, Any] = {"against": against, "model": model, "cutoff_len": cutoff_len}
    how |= {"values": pairs(value), "system_prompt": PromptStore(place).get(prompt).text if prompt else None}
    done = perform(place, "fix", name=name, codes=codes, **how)
    answer(done, as_json, translator()("cli.new_version", **_counts(done)))


@app.command("accept")
@command
def accept_findings(
    name: str,
    codes: Annotated[
        list[str] | None, typer.Argument(help="Warnings, or WARNING=ROWS; default: all there are now.")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Accept warnings of a data set for exactly its present content, so that a training may start."""
    place = open_workspace(workspace)
    unknown = [each for each in codes or () if not is_acceptance(each)]
    if unknown:
        raise SettingsError(problem("usage.finding", value=unknown[0], known=", ".join(CODES)))
    if not codes:
        _, report = listened(checking.examined, place, name=name)
        codes = [each.accepting for each in report.warnings]
    entry = Registry(place).accept_findings(name, codes)
    accepted = sorted(entry.accepted)
    answer(
        {"name": name, "accepted": accepted}, as_json, translator()("cli.accepted", codes=", ".join(accepted) or "–")
    )


@app.command("verify")
@command
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
    workspace: WorkspaceOption = WORKSPACE,
    accept: Annotated[bool, typer.Option("--accept", help="Record the present content as the right one.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare files with the SHA-1 that the registry has of them."""
    registry = Registry(open_workspace(workspace))
    usable = [entry for entry in registry.entries().values() if entry.problem is None]
    chosen = names or [entry.name for entry in usable if not (accept and entry.sample)]
    problems: list[Problem] = []
    for name in chosen:
        try:
            if accept:
                registry.accept(name)
            registry.verify(name)
        except StudioError as error:
            problems += error.problems
    if problems:
        raise StudioError(*problems)
    answer({"verified": chosen}, as_json, translator()("cli.verified", n=len(chosen)))


def _tell(report: Report, entry: DatasetEntry, asked: dict[str, Any], subject: str) -> None:
    """Say each finding in its sentences, with the lines, the first example and the command that mends it as `asked`.

    `subject` is the name of the set, or the file as a person named it with what says how it is read.
    """
    t = translator()
    if report.findings:
        counts = {"errors": len(report.errors), "warnings": len(report.warnings), "rows": f"{report.rows:,}"}
        say(t("cli.report", score=report.score, **counts))
    for each in report.findings:
        severity = t(f"severity.{each.severity}")
        mark = t("cli.accepted_mark", severity=severity) if each.is_accepted(entry.accepted) else severity
        told = joined(each.problem(report.name).sentences(language()), language())
        say(f"\n{mark}  {each.code}  ×{each.count:,}\n  {told}")
        if each.lines:
            more = " …" if each.count > _PLACES else ""
            say(t("cli.lines", lines=", ".join(each.lines[:_PLACES]) + more))
        if each.examples:
            say(t("cli.example", where=each.examples[0].where, text=each.examples[0].say(language())))
        if each.fix and not entry.sample:  # samples stay as they are
            needs = _options(FIXES[each.fix].needs, asked)
            later = entry.made or "model" in needs or "against" in needs  # `add` asks for neither
            say(t("cli.fix", name=entry.name, fix=each.fix + needs) if later else
                t("cli.fix_file", name=subject, fix=each.fix + needs))  # fmt: skip


def _options(needs: Sequence[str], asked: dict[str, Any]) -> str:
    """Return the options that a fix cannot do without, with what the check was asked with."""
    found = " --value NAME=…" if "values" in needs else ""
    names = ["model", "cutoff-len", "prompt"] if "model" in needs else []
    for name in [*names, *(["against"] if "against" in needs else [])]:
        given = asked[name] if isinstance(asked[name], list) else [asked[name]]
        found += "".join(f" --{name} {each}" for each in given if each is not None)
    return found


def _told(finding: Finding, name: str, accepted: frozenset[str]) -> dict[str, Any]:
    problem = finding.problem(name)
    said = {"text": problem.say(language()), "accepted": finding.is_accepted(accepted)}
    return {**finding.to_dict(), **said}


def _counts(done: dict[str, Any]) -> dict[str, Any]:
    return {"name": done["name"], "before": done["rows_before"], "rows": done["rows"], "version": done["versions"]}
