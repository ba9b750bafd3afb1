"""`studio plan` and `studio presets`: what a run will do, said and measured before it starts."""

from pathlib import Path
from typing import Annotated, Any

import typer

from core.amounts import bytes_of
from core.commands.data_work import TerminalListener, listened
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
from core.errors import RunError, SettingsError, problem
from core.progress import Announced
from core.settings import RunSettings, load_recipe, presets as known
from core.train import in_words, measuring
from core.train.gate import look
from core.train.plan import Plan
from core.train.prepare import checked_plan
from core.wording import Translator
from core.workspace import Workspace

app = typer.Typer()

PresetOption = Annotated[
    list[str] | None, typer.Option("--preset", help="Settings for a kind of job; see `studio presets`.")
]
MeasureOption = Annotated[bool, typer.Option("--measure/--no-measure", help="Take a few steps to tell the time.")]


@app.command("plan", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@command
def plan(
    context: typer.Context,
    recipe: Path,
    workspace: WorkspaceOption = WORKSPACE,
    preset: PresetOption = None,
    measure: MeasureOption = True,
    as_json: JsonOption = False,
) -> None:
    """Say what a recipe would do: examples, steps, memory, time. Any setting can be given after it, as for `train`."""
    place = open_workspace(workspace)
    tell(place, settings_of(place, recipe, preset, context.args), measure, as_json)


@app.command("presets")
@command
def list_presets(as_json: JsonOption = False) -> None:
    """List the presets: named settings for a kind of job, with a sentence why."""
    t = translator()
    found, lines = {}, []
    for name, values in known.presets().items():
        label, why = t(f"preset.{name}.label"), t(f"preset.{name}.why")
        found[name] = {"label": label, "why": why, "settings": values}
        flags = " ".join(f"--{path} {in_words.value(value)}" for path, value in values.items())
        lines += [f"{name}: {label}", f"    {why}", f"    {flags}"]
    answer({"presets": found}, as_json, "\n".join(lines))


def settings_of(place: Workspace, recipe: Path, names: list[str] | None, arguments: list[str]) -> RunSettings:
    """Return the settings of a recipe under presets, a later one over an earlier, and under the flags of the command.

    Raises:
        SettingsError: with everything that is wrong with them.
    """
    under = {path: value for name in names or () for path, value in known.preset(name).items()}
    settings = load_recipe(recipe, under | _overrides(arguments))
    path = Path(settings.model.path).expanduser()
    if place.readable(settings.model.path).exists() or not path.is_dir():
        return settings
    # As a shell would read it, where the workspace has no such folder.
    here = settings.model.model_copy(update={"path": str(path.absolute())})
    return settings.model_copy(update={"model": here})


def tell(place: Workspace, settings: RunSettings, measure: bool, as_json: bool) -> None:
    """Say the plan of a run, measured where that is wanted and not known yet.

    Raises:
        StudioError: with every problem that keeps the run from starting.
    """
    t = translator()
    expected = checked(place, settings)
    if expected is None:
        say(t("cli.plan.not_here", model=settings.model.path))
        answer({"findings": findings(place, settings)}, as_json, "")
        return
    if measure and expected.speed.basis != "probe":
        expected = _measured(place, settings, expected)
    warn(expected)
    found = findings(place, settings)
    answer(expected.summary() | {"advice": [each.to_dict() for each in expected.warnings], "findings": found}, as_json,
           table(expected, t))  # fmt: skip


def checked(place: Workspace, settings: RunSettings) -> Plan | None:
    """Check all that a run needs and return its plan, telling how far the rows are tokenised; Ctrl-C ends it.

    Raises:
        StudioError: with every problem that keeps the run from starting.
    """

    def work(place: Workspace, listener: TerminalListener) -> Plan | None:
        listener.phase("checking_data")
        return checked_plan(place, settings, Announced(listener, "tokenising"))

    return listened(work, place)


def warn(expected: Plan) -> None:
    """Say the advice of a plan."""
    for warning in expected.warnings:
        say(translator()("cli.warning", text=warning.say(language())))


def findings(place: Workspace, settings: RunSettings) -> dict[str, Any]:
    """Say what the check of the data would stop the start for, and return its codes by data set."""
    t, checked = translator(), look(place, settings)
    for each in checked:
        for finding in (*each.errors, *each.open):
            say(t("cli.warning", text=finding.problem(each.name).say(language())))
    return {
        each.name: {"errors": [found.code for found in each.errors], "warnings": [found.code for found in each.open]}
        for each in checked
    }


def sentence(expected: Plan, t: Translator) -> str:
    """Return a plan in one line."""
    return t(
        "cli.plan",
        examples=f"{expected.examples:,}",
        learnt=f"{expected.learnt_tokens:,}",
        steps=f"{expected.steps:,}",
        time=spoken(expected.seconds, t),
        memory=f"{expected.memory_bytes / 1e9:.1f}",
        total=f"{expected.memory_total / 1e9:.0f}",
    )


def table(expected: Plan, t: Translator) -> str:
    """Return a plan as lines of name and value."""
    lines = in_words.rows(expected, t)
    for source in expected.sources:
        shown = {"rows": f"{source.examples:,}", "times": f"{source.repetitions:.3g}", "share": f"{source.share:.1%}",
                 "exposures": f"{round(source.repetitions * source.examples):,}"}  # fmt: skip
        lines.append((f"- {source.name}", t("plan.exposures", **shown)))
    lines += [(f"- {name}", bytes_of(bytes)) for name, bytes in in_words.memory_parts(expected, t)]
    lines += [("", in_words.change(each, t)) for each in expected.changes]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines)


def _measured(place: Workspace, settings: RunSettings, expected: Plan) -> Plan:
    """Return the plan after its time was measured; as it was where the measuring failed, which is said."""
    t = translator()
    say(t("cli.plan.measuring", time=spoken(measuring.expected_seconds(settings, expected), t)))
    try:
        work_through(measuring.submit(place, settings, expected), "core.train.probe")
    except RunError as error:
        say(t("cli.warning", text=error.say(language())))
    return checked_plan(place, settings) or expected


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
