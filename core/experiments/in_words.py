"""Experiments in sentences and tables, for the command line and the page alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.duration import spoken
from core.evaluate.in_words import figure, signed
from core.experiments.curve import Best, Point
from core.experiments.trials import Trial
from core.wording import Translator, joined

NOTHING = "–"


def plan(config: Mapping[str, Any], t: Translator) -> list[str]:
    """Return what an experiment will do: how many trainings and how long, and what is asked of whom."""
    planned = config["plan"]
    names = {"runs": planned["runs"], "steps": f"{planned['steps']:,}", "time": spoken(planned["seconds"], t)}
    if config["kind"] == "ab":
        found = [t("experiment.plan.ab", learnt=f"{planned['learnt_tokens']:,}", **names)]
        for arm in config["arms"]:
            runs = [each for each in config["runs"] if each["arm"] == arm["label"]]
            found.append(
                t("experiment.plan.arm", label=arm["label"], steps=f"{runs[0]['steps']:,}",
                  learnt=f"{runs[0]['learnt_tokens']:,}", tests=", ".join(arm["tests"]))
            )  # fmt: skip
        return found
    code = f"experiment.plan.{config['sampler']}"
    return [t(code, **names), *([] if config["prunes"] else [t("experiment.plan.no_pruning")])]


def told(result: Mapping[str, Any], t: Translator) -> list[str]:
    """Return what came out, the most important first."""
    return _ab(result, t) if result["kind"] == "ab" else _sweep(result, t)


def setting(path: str, value: Any, t: Translator) -> str:
    return f"{t(f'setting.{path}.label')} {value:g}"


def trial_rows(result: Mapping[str, Any], t: Translator) -> list[list[str]]:
    """Return the table of trials with its heading: number, settings, state, score, kept, and beside the best."""
    paths = list(dict.fromkeys(path for each in result["trials"] for path in each["params"]))
    heading = ["#", *(t(f"setting.{path}.label") for path in paths), t("experiment.state"), t("experiment.score"),
               t("experiment.kept"), t("experiment.beside_best")]  # fmt: skip
    return [heading, *(_row(each, paths, result, t) for each in result["trials"])]


def _row(trial: Mapping[str, Any], paths: Sequence[str], result: Mapping[str, Any], t: Translator) -> list[str]:
    compared = result["against"].get(str(trial["number"]))
    beside = t("experiment.best") if trial["number"] == result["best"] else NOTHING
    if _forgets(trial, result):
        beside = t("experiment.forgets")
    elif compared is not None:
        beside = t("experiment.worse" if compared["winner"] == "who" else "experiment.alike")
    return [
        str(trial["number"] + 1),
        *(f"{trial['params'][path]:g}" for path in paths),
        t(f"experiment.state.{trial['state']}"),
        _percent(trial["value"]),
        _percent(trial["kept"]),
        beside,
    ]


def _ab(result: Mapping[str, Any], t: Translator) -> list[str]:
    found: list[str] = []
    first = result["arms"][0]["label"]
    for dataset in result["datasets"]:
        values = [f"{label} {_percent(value)}" for label, value in dataset["value"].items()]
        found.append(t("experiment.values", dataset=dataset["name"], metric=t(f"metric.{dataset['metric']}"),
                       n=dataset["n"], values=", ".join(values)))  # fmt: skip
        for label, against in dataset["against"].items():
            found.append(joined(_against(label, first, against, t), t("language.code")))
    return [*found, _cost(result, t)]


def _against(label: str, first: str, against: Mapping[str, Any], t: Translator) -> list[str]:
    names = {"label": label, "first": first}
    if against["difference"] is None:
        return [t("experiment.nothing_to_compare", **names)]
    numbers = {"difference": signed(against["difference"]), "low": NOTHING, "high": NOTHING}
    if against["low"] is not None:
        numbers |= {"low": signed(against["low"]), "high": signed(against["high"])}
    counts = {name: f"{against[name]:,}" for name in ("wins", "losses", "ties")}
    code = {"who": "experiment.better", "other": "experiment.worse_than", None: "experiment.no_difference"}
    said = [t(code[against["winner"]], **names, **numbers, **counts)]
    if against["winner"] is None and against["needed"]:
        said.append(t("experiment.needed", n=f"{against['needed']:,}"))
    if len(against["by_seed"]) == 1:
        said.append(t("experiment.one_seed"))
    elif not against["steady"]:
        seeds = ", ".join(f"{each:+.1f}" for each in against["by_seed"])
        said.append(t("experiment.unsteady", seeds=seeds))
    return said


def _sweep(result: Mapping[str, Any], t: Translator) -> list[str]:
    best = next((each for each in result["trials"] if each["number"] == result["best"]), None)
    counts = {
        state: sum(each["state"] == state for each in result["trials"]) for state in ("complete", "pruned", "failed")
    }
    found = [t("experiment.tried", n=len(result["trials"]), **counts)]
    if best is None:
        return [*found, t("experiment.none_keeps", floor=figure(result["floor"])), _cost(result, t)]
    settings = ", ".join(setting(path, value, t) for path, value in best["params"].items())
    told = {"settings": settings, "score": _percent(best["value"])}
    if best["kept"] is None:
        found.append(t("experiment.best_alone", **told))
    else:
        found.append(t("experiment.best_is", **told, kept=_percent(best["kept"])))
    against = {
        each["number"]: result["against"].get(str(each["number"]))
        for each in result["trials"]
        if not _forgets(each, result)
    }
    alike = [f"#{number + 1}" for number, compared in against.items() if compared and compared["winner"] is None]
    if alike:
        found.append(t("experiment.not_told_from", trials=", ".join(alike)))
    return [*found, t("experiment.chosen_for_its_score"), _cost(result, t)]


def _forgets(trial: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Tell whether a trial is out of question because it keeps too little."""
    return trial["kept"] is not None and trial["kept"] < result["floor"]


def _cost(result: Mapping[str, Any], t: Translator) -> str:
    cost = result["cost"]
    return t(
        "experiment.cost", runs=cost["runs"], time=spoken(cost["seconds"] + cost.get("evaluation_seconds", 0.0), t)
    )


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{figure(value)} %"


def trial_line(trial: Trial, t: Translator) -> str:
    """Return a trial in a line, for whoever waits."""
    settings = ", ".join(setting(path, value, t) for path, value in trial.params.items())
    return f"#{trial.number + 1} {settings}: {t(f'experiment.state.{trial.state}')} {_percent(trial.value)}"


def curve_rows(points: Sequence[Point], t: Translator) -> list[list[str]]:
    """Return the table of a curve with its heading: step, each test set, identity, kept."""
    sets = list(points[0].right) if points else []
    heading = [t("experiment.step"), *sets, t("experiment.identity"), t("experiment.kept")]
    rows = [
        [f"{each.step:,}" if each.step else t("who.base"), *(_percent(each.right[name]) for name in sets),
         _percent(each.identity), _percent(each.kept)]
        for each in points
    ]  # fmt: skip
    return [heading, *rows]


def best_step_words(best: Best | None, t: Translator) -> str:
    """Return which step to take, and whether the questions can tell it from the run's result."""
    if best is None:
        return t("experiment.no_step")
    numbers = {"step": f"{best.point.step:,}", "score": _percent(best.point.task), "kept": _percent(best.point.kept)}
    beside = {None: "experiment.step_is_result", True: "experiment.step_is_better", False: "experiment.step_is_alike"}
    return joined([t("experiment.best_step", **numbers), t(beside[best.told])], t("language.code"))
