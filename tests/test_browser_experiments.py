"""Experiments on the Evaluate tab as a person uses them, in a real browser: read what came out, plan one, start, stop."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app import jobs
from app.experiments import card, form, standing
from app.experiments.layout import ExperimentsPage, lay_out
from app.experiments.looking import state_of
from app.page import build
from app.studio import Studio
from core.data.registry import Registry
from core.errors import SettingsError
from core.experiments import in_words
from core.experiments.directory import Experiment, listing
from core.models.folder import fingerprint
from core.runs import events, process
from core.wording import words
from core.workspace import Workspace
from tests.experimented import AB, SWEEP, finished_ab, finished_sweep
from tests.finished_runs import finished_run
from tests.studio_server import Server, Visitor, choose, open_tab, running, setting, small_workspace

SLOW = 30_000
BASED_ON = "2026-11-22_090000_pets"  # the newest run, which the form begins with


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace.at(small_workspace(tmp_path_factory.mktemp("studio") / "workspace"))
    finished_ab(workspace)
    finished_sweep(workspace)
    registry = Registry(workspace)
    file = workspace.root / "asked.json"
    rows = [{"instruction": f"Answer: whose is pet {n}?", "output": f"Pet {n} is Ada's."} for n in range(24)]
    file.write_text(json.dumps(rows), encoding="utf-8")
    registry.add(file, "pets_asked")
    settings = {
        "model.path": "models/tiny", "data.test": ["pets_test"], "data.accept_warnings": True, "method.name": "lora",
        "lora.rank": 4, "optim.learning_rate": 1e-3, "batch.global_batch_size": 4, "schedule.epochs": 200,
        "data.weights": {"pets": 2.0},
    }  # fmt: skip
    model = {"path": "models/tiny", "fingerprint": fingerprint(workspace.models / "tiny")}
    finished_run(workspace, BASED_ON, settings=settings, model=model, data=[("pets", registry.get("pets").sha1)])
    return workspace


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[Server]:
    with running(workspace.root) as server:
        yield server


def opened(server: Server, visitor: Visitor, language: str) -> Page:
    """Open the card, which is closed at first."""
    page = visitor.open(f"{server.url}/{language}/")
    unfold(page)
    return page


def unfold(page: Page) -> None:
    open_tab(page, 2)
    page.locator("#experiments > button").click()
    expect(page.locator("#experiments-list")).to_be_visible(timeout=SLOW)


def test_a_person_reads_in_chinese_on_a_phone_which_way_is_better(
    workspace: Workspace, server: Server, visitor: Visitor
) -> None:
    page = opened(server, visitor, "zh")
    page.set_viewport_size({"width": 390, "height": 844})
    _read(page, workspace, "zh")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    visitor.assert_nothing_went_wrong()


def test_the_best_settings_fill_the_train_form_and_a_run_is_shown_there(
    workspace: Workspace, server: Server, visitor: Visitor
) -> None:
    page = opened(server, visitor, "en")
    _read(page, workspace, "en")
    page.locator("#experiments-fill").click()
    expect(page.locator("#train-filled")).to_contain_text("Learning rate", timeout=SLOW)
    expect(setting(page, "optim.learning_rate").locator("input")).to_have_value("0.0004")
    open_tab(page, 2)
    page.locator("#experiments-report [data-pick]").first.click()
    expect(page.locator("#run input")).to_have_value(f"{SWEEP[:17]}_sweep_t0", timeout=SLOW)
    visitor.assert_nothing_went_wrong()


def _read(page: Page, workspace: Workspace, language: str) -> None:
    """Look at the comparison, then at the sweep."""
    t, report = words(language), page.locator("#experiments-report")
    listed = page.locator("#experiments-list")
    listed.locator("[data-pick]", has_text="format3").click()
    sentences = in_words.told(Experiment(workspace.experiments / AB).result() or {}, t)
    expect(report.locator(".headline")).to_have_text(sentences[1], timeout=SLOW)
    expect(report.locator("svg.forest.better")).to_have_count(1)
    expect(report).to_contain_text(sentences[-1])
    expect(page.locator("#experiments-fill")).to_be_hidden()
    listed.locator("[data-pick]", has_text=t("setting.optim.learning_rate.label")).click()
    sentences = in_words.told(Experiment(workspace.experiments / SWEEP).result() or {}, t)
    expect(report.locator(".headline")).to_have_text(sentences[1], timeout=SLOW)
    expect(report.locator("tr:has(.best)")).to_contain_text("0.0004")
    expect(report.locator("tbody tr")).to_have_count(5)


def test_a_comparison_is_planned_started_stopped_and_offered_to_go_on(
    workspace: Workspace, server: Server, visitor: Visitor
) -> None:
    t, page = words("en"), opened(server, visitor, "en")
    plan = page.locator("#experiments-plan")
    expect(plan).to_have_text(t("experiments.choose_data"), timeout=SLOW)
    choose(page, "experiments-data", "pets_asked")
    expect(plan).to_have_text(t("experiments.plan"), timeout=SLOW)
    plan.click()
    expect(page.locator("#experiments-planned .plan")).to_contain_text("2 trainings", timeout=SLOW)
    draft = listing(workspace)[0]
    assert state_of(draft) == "draft"
    page.locator("#experiments-go").click()
    expect(page.locator("#experiments-status .pill")).to_have_text(t("status.running"), timeout=SLOW)
    with visitor.leaving():
        page.reload()
        unfold(page)
    expect(page.locator("#experiments-status .pill")).to_have_text(t("status.running"), timeout=SLOW)
    page.locator("#experiments-stop").click()
    expect(page.locator("#experiments-status .pill")).to_have_text(t("status.stopped"), timeout=SLOW)
    expect(page.locator("#experiments-go")).to_have_text(t("experiments.go_on"))
    assert process.status(draft.path) == "stopped"
    visitor.assert_nothing_went_wrong()


# ---------------------------------------------------------------------------------------------------- without a browser


def test_a_sweep_whose_time_was_over_says_so(workspace: Workspace) -> None:
    warned = events.Warned(code="experiment.time_over", values={"tried": 3, "planned": 9})
    seen = jobs.Seen(workspace.experiments / SWEEP, "finished", [warned])
    assert "3 of 9" in standing.ending(seen, words("en"))


def test_of_a_lost_experiment_it_is_said_that_nothing_is_lost(workspace: Workspace) -> None:
    seen = jobs.Seen(workspace.experiments / SWEEP, "lost", [])
    assert words("zh")("error.experiment.lost.fix") in standing.ending(seen, words("zh"))


@pytest.fixture
def laid_out(workspace: Workspace) -> tuple[Studio, ExperimentsPage, dict[Any, Any]]:
    """The card, with the values that its form has for the run."""
    import gradio as gr

    studio, t = Studio(workspace), words("en")
    with gr.Blocks():
        page = lay_out(t)
    values = {each: each.value for each in page.form.inputs} | {page.form.run: BASED_ON}
    updates = form.for_run(studio, page, values, t)
    given = {part: update["value"] if isinstance(update, dict) else update for part, update in updates.items()}
    return studio, page, values | given


def test_the_lists_of_a_search_begin_around_the_values_of_the_run(
    laid_out: tuple[Studio, ExperimentsPage, dict[Any, Any]],
) -> None:
    _, page, values = laid_out
    found = [values[each] for each in (page.form.rates, page.form.ranks, page.form.epochs)]
    assert found == ["0.0005, 0.001, 0.002", "2, 4, 8", "100, 200, 400"]


@pytest.mark.parametrize(
    ("field", "text", "code"),
    [("rates", "1e-4, many", "no_number"), ("ranks", "2.5，8", "not_whole"), ("trials", "3, 4", "no_number")],
)
def test_what_is_no_number_is_refused_in_words(
    laid_out: tuple[Studio, ExperimentsPage, dict[Any, Any]], field: str, text: str, code: str
) -> None:
    studio, page, values = laid_out
    with pytest.raises(SettingsError) as refused:
        form.prepared(studio, page, {**values, page.form.kind: "sweep", getattr(page.form, field): text})
    assert refused.value.problems[0].code == f"experiment.{code}"
    assert refused.value.say("zh")


def test_the_other_data_has_the_place_and_the_weight_of_what_it_replaces(
    laid_out: tuple[Studio, ExperimentsPage, dict[Any, Any]],
) -> None:
    studio, page, values = laid_out
    job, minded = form.prepared(studio, page, {**values, page.form.data: "pets_asked", page.form.second: "asked"})
    config = Experiment(job).config
    assert not minded
    assert [arm["label"] for arm in config["arms"]] == ["pets", "asked"]
    assert [each["settings"]["data"]["weights"] for each in config["runs"]] == [{"pets": 2.0}, {"pets_asked": 2.0}]


def test_the_second_way_may_be_another_prompt_and_is_named_by_it(
    laid_out: tuple[Studio, ExperimentsPage, dict[Any, Any]],
) -> None:
    studio, page, values = laid_out
    studio.prompts.save("short", "Answer in few words.")
    job, _ = form.prepared(studio, page, {**values, page.form.change: "prompt", page.form.prompt: "short"})
    first, second = Experiment(job).config["arms"]
    assert (first["label"], first["changes"], second["label"]) == ("none", {}, "short")
    assert [each["settings"]["prompt"]["name"] for each in Experiment(job).config["runs"]] == ["none", "short"]


def test_only_what_was_not_started_is_discarded(laid_out: tuple[Studio, ExperimentsPage, dict[Any, Any]]) -> None:
    studio, page, values = laid_out
    job, _ = form.prepared(studio, page, {**values, page.form.data: "pets_asked"})
    (job / process.QUEUED).touch()
    assert not card.remove_draft(studio, job.name)
    (job / process.QUEUED).unlink()
    assert card.remove_draft(studio, job.name)
    assert not job.exists()
    assert not card.remove_draft(studio, "../runs")


def test_the_card_is_part_of_the_page(workspace: Workspace) -> None:
    ids = {getattr(each, "elem_id", None) for each in build(Studio(workspace), "zh").blocks.values()}
    assert {"experiments", "pulse-experiments", "experiments-plan"} <= ids
