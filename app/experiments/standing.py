"""How experiments stand: the list of all, and of the chosen one its plan, how far it is, and its runs so far."""

from dataclasses import asdict
from html import escape

from app import jobs
from app.experiments.looking import DRAFT, Look
from app.experiments.trial_table import run_button, trial_table
from app.jobs import Seen
from app.notices import notice, warnings
from app.parts import empty, pick, pill, table
from app.studio import Studio
from core.errors import problem
from core.experiments import in_words, trials
from core.experiments.directory import Experiment, runs_of
from core.runs import events
from core.wording import Translator


def listed(look: Look, t: Translator) -> str:
    """Return all experiments, newest first; where there is none, what one is good for."""
    if not look.experiments:
        return empty(t("experiments.none"))
    rows = [
        [
            f'{pick(each.name, each is look.shown, title(each, t))}<div class="small">{_date(each)}</div>',
            _pill(state, t),
        ]
        for each, state in zip(look.experiments, look.states, strict=True)
    ]
    headers = [t("experiments.experiment"), t("experiment.state")]
    return table(headers, rows, caption=t("experiments.title"))


def title(experiment: Experiment, t: Translator) -> str:
    """Return what an experiment asks, in a few words."""
    config = experiment.config
    if config["kind"] == "ab":
        return t("experiments.title.ab", arms=" / ".join(arm["label"] for arm in config["arms"]))
    paths = {"rates": "optim.learning_rate", "ranks": "lora.rank", "epochs": "schedule.epochs"}
    tried = [t(f"setting.{paths[name]}.label") for name, values in config["space"].items() if values]
    return t("experiments.title.sweep", settings=", ".join(tried))


def status(look: Look, t: Translator) -> str:
    """Return which one is chosen and, unless it has a report, its state and what it is doing."""
    if look.shown is None or look.seen is None:
        return ""
    return f"<h4>{escape(title(look.shown, t))}</h4>{_state(look, look.seen, t)}"


def _state(look: Look, seen: Seen, t: Translator) -> str:
    if look.state == "finished":
        return ""
    if look.state == DRAFT:
        return f'<div class="status">{_pill(DRAFT, t)} <span class="phase">{escape(t("experiments.draft_help"))}</span></div>'
    return jobs.status_line(seen, t)


def progress(look: Look, t: Translator) -> str:
    """Return how far it is: of all trainings together while it trains, of the evaluation while it asks."""
    seen = look.seen
    if seen is None or look.state == DRAFT or seen.status == "finished":
        return ""
    phase = next((each.name for each in reversed(seen.events) if isinstance(each, events.Phase)), "")
    told = [each for each in seen.events if isinstance(each, events.Progress)][-1:]
    at = look.child
    if at is not None and (phase == "answering" or not told):
        return f'<p class="note">{escape(at.job.name)}</p>{jobs.progress_bar(at, t)}'
    return jobs.progress_bar(Seen(seen.job, seen.status, told, seen.place), t)


def ending(seen: Seen, t: Translator) -> str:
    """Return why it failed or was lost, and what it warned of."""
    warned = [problem(each.code, **each.values) for each in seen.events if isinstance(each, events.Warned)]
    language = t("language.code")
    lost = notice([problem("experiment.lost", seen.job.name)], language) if seen.status == "lost" else ""
    return (lost or jobs.ending(seen, t)) + warnings(list({each.code: each for each in warned}.values()), language)


def planned(look: Look, t: Translator) -> str:
    """Return what it will do, and its runs so far; "" once it has a report."""
    if look.shown is None or look.state == "finished":
        return ""
    first, *others = (escape(each) for each in in_words.plan(look.shown.config, t))
    return f'<p class="plan">{first}</p>' + "".join(f'<p class="note">{each}</p>' for each in others)


def so_far(studio: Studio, look: Look, t: Translator) -> str:
    """Return the runs of one that has no report yet, "" before the first."""
    if look.shown is None or look.state in (DRAFT, "finished"):
        return ""
    if look.shown.config["kind"] == "sweep":
        begun = [asdict(each) for each in trials.read(look.shown.path)]
        return trial_table(studio, {"trials": begun, "best": None, "against": {}}, t) if begun else ""
    return _runs(studio, look.shown, t)


def _runs(studio: Studio, experiment: Experiment, t: Translator) -> str:
    made = runs_of(studio.workspace, experiment)
    if not made:
        return ""
    rows = []
    for each in experiment.config["runs"]:
        run = made.get(each["key"])
        rows.append(
            [escape(each["arm"]), str(each["seed"]), f"{each['steps']:,}", f"{each['learnt_tokens']:,}",
             pill(run.status, t) if run else "–", run_button(run.name) if run else ""]
        )  # fmt: skip
    headers = [t("experiments.arm"), t("experiments.seed"), t("experiments.steps"), t("experiments.learnt"),
               t("experiment.state"), t("experiments.runs")]  # fmt: skip
    return table(headers, rows, caption=t("experiments.runs"), numbers=(1, 2, 3))


def _pill(state: str, t: Translator) -> str:
    if state == DRAFT:
        return f'<span class="pill draft" data-status="draft">{escape(t("experiments.draft"))}</span>'
    return pill(state, t)


def _date(experiment: Experiment) -> str:
    """Return when it was planned, to the minute, as its config has it."""
    day, _, clock = str(experiment.config["created"]).partition("T")
    return escape(f"{day} {clock[:5]}")
