"""The whole job in a real browser against a real server process, in both languages, and what happens when things die."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from core.runs import process
from core.runs.directory import listing
from core.wording import Translator, words
from core.workspace import Workspace
from tests.studio_server import (
    Server,
    Visitor,
    choose,
    fill,
    open_tab,
    running,
    small_workspace,
    start_server,
    status,
    train_tiny,
)

pytestmark = pytest.mark.timeout(600)
SLOW = 240_000  # ms for a worker: importing torch alone takes a minute on a busy machine


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    workspace = small_workspace(tmp_path_factory.mktemp("studio") / "workspace")
    with running(workspace) as server:
        yield server


def newest_run(workspace: Path) -> Path:
    return listing(Workspace.at(workspace))[0].path


def done(page: Page, text: str) -> None:
    """The success message is shown."""
    expect(page.locator(".toast-body.success").filter(has_text=text).first).to_be_visible(timeout=30_000)


def test_a_person_trains_evaluates_chats_and_merges(server: Server, visitor: Visitor) -> None:
    t = words("zh")
    page = visitor.open(f"{server.url}/zh/")
    expect(page.get_by_role("tab")).to_have_text([t(f"tab.{name}") for name in
                                                  ("data", "train", "evaluate", "chat", "merge", "runs")])  # fmt: skip
    expect(page.locator("#start")).to_have_text(t("start.fill_blanks"), timeout=30_000)  # the starter's data has blanks
    run = _train_with_a_reload_and_a_second_tab(server, visitor, page, t)
    _evaluate(page, t)
    _chat(page, t, run)
    _merge(server, page, t)
    open_tab(page, 5)
    row = page.locator("#runs-table tr").filter(has_text=run)
    expect(row).to_contain_text(t("status.finished"), timeout=30_000)
    expect(row).to_contain_text("pets_test")
    _read_in_english(visitor.open(f"{server.url}/en/"), run)
    visitor.assert_nothing_went_wrong()


def _train_with_a_reload_and_a_second_tab(server: Server, visitor: Visitor, page: Page, t: Translator) -> str:
    train_tiny(page)
    run = newest_run(server.workspace).name
    done(page, t("train.started", name=run))
    with visitor.leaving():
        page.reload()
    second = visitor.open(page.url)
    for tab in (page, second):
        expect(tab.locator("#run input")).to_have_value(run, timeout=60_000)
        expect(status(tab)).to_have_text(t("status.finished"), timeout=SLOW)
        expect(tab.locator("#run-progress")).to_contain_text(t("job.steps", done="12", total="12"))
        expect(tab.locator("#loss-chart svg path.line")).not_to_have_count(0)
    second.close()
    return run


def _evaluate(page: Page, t: Translator) -> None:
    page.locator("#go-evaluate").click()
    expect(page.locator("#evaluate-start")).to_have_text(t("evaluate.start"), timeout=30_000)
    page.locator("#evaluate-start").click()
    done(page, t("evaluate.started"))
    expect(status(page, "evaluate-status")).to_have_text(t("status.finished"), timeout=SLOW)
    expect(page.locator("#figures")).to_contain_text("BLEU-4", timeout=30_000)
    expect(page.locator("#figures")).to_contain_text(t("metric.right"))
    expect(page.locator("#answers")).to_contain_text("Whose pet is number 24?")


def _chat(page: Page, t: Translator, run: str) -> None:
    open_tab(page, 1)
    page.locator("#go-chat").click()
    expect(page.locator("#chat-run input")).to_have_value(run, timeout=30_000)
    expect(page.locator("#chat-load")).to_have_text(t("chat.load"), timeout=30_000)
    page.locator("#chat-load").click()
    expect(page.locator("#chat-release")).to_be_visible(timeout=SLOW)
    fill(page, "chat-message", "<b>hello</b>")
    page.locator("#chat-send").click()
    for pane in ("#chat-base", "#chat-tuned"):
        expect(page.locator(f"{pane} .user")).to_contain_text(
            "<b>hello</b>", timeout=30_000
        )  # shown as text, not as bold
        expect(page.locator(f"{pane} .bot")).to_have_text(re.compile(r"\S"), timeout=SLOW)
    expect(page.locator("#chat-stop")).to_be_hidden(timeout=SLOW)
    page.locator("#chat-release").click()
    done(page, t("chat.released"))


def _merge(server: Server, page: Page, t: Translator) -> None:
    open_tab(page, 1)
    page.locator("#go-merge").click()
    expect(page.locator("#merge-start")).to_have_text(t("merge.start"), timeout=30_000)
    fill(page, "merge-out", "taken_home")
    page.locator("#merge-start").click()
    done(page, t("merge.started"))
    expect(page.locator("#merged")).to_contain_text(t("proof.same"), timeout=SLOW)
    folder = server.workspace / "models" / "taken_home"
    expect(page.locator("#merged")).to_contain_text(str(folder))
    assert (folder / "config.json").exists()
    assert list(folder.glob("*.safetensors"))


def _read_in_english(page: Page, run: str) -> None:
    """The other language tells the same run, scores and proof."""
    t = words("en")
    expect(status(page)).to_have_text(t("status.finished"), timeout=30_000)
    expect(page.locator("#run-progress")).to_contain_text(t("job.steps", done="12", total="12"))
    page.locator("#go-evaluate").click()
    expect(page.locator("#figures")).to_contain_text(t("metric.right"), timeout=30_000)
    open_tab(page, 1)
    page.locator("#go-merge").click()
    expect(page.locator("#merged")).to_contain_text(t("proof.same"), timeout=30_000)
    open_tab(page, 5)
    row = page.locator("#runs-table tr").filter(has_text=run)
    expect(row).to_contain_text(t("status.finished"), timeout=30_000)


def test_a_learning_rate_of_zero_is_told_where_it_stands_and_nothing_is_lost(server: Server, visitor: Visitor) -> None:
    before = len(listing(Workspace.at(server.workspace)))
    page = visitor.open(f"{server.url}/en/")
    expect(page.locator("#start")).to_have_text(words("en")("start.fill_blanks"), timeout=30_000)
    fill(page, "lora.rank", "12")
    fill(page, "model.path", "models/tiny")
    choose(page, "data.train", "pets")
    choose(page, "data.test", "pets_test")
    fill(page, "optim.learning_rate", "0")
    expect(page.locator("#plan-notice .notice.error")).to_contain_text("> 0, ≤ 1", timeout=30_000)
    page.locator("#start").click()
    expect(page.locator("#start-notice .notice.error")).to_contain_text("> 0, ≤ 1", timeout=30_000)
    expect(page.locator(".toast-body.error")).to_have_count(1)  # the guard of the other tests sees a real one
    assert visitor.toasts
    assert not visitor.faults, visitor.faults
    expect(page.locator('[id="lora.rank"] input')).to_have_value("12")
    assert len(listing(Workspace.at(server.workspace))) == before


def test_a_run_outlives_its_server_and_a_new_one_shows_it(tmp_path: Path, visitor: Visitor) -> None:
    workspace = small_workspace(tmp_path / "workspace")
    first = start_server(workspace)
    page = visitor.open(f"{first.url}/en/")
    train_tiny(page, epochs="5", method="LoRA")
    expect(status(page)).to_have_text("running", timeout=30_000)
    first.kill()
    run = newest_run(workspace)
    assert process.worker_pid(run) is not None
    page.close()
    with running(workspace) as second:
        page = visitor.open(f"{second.url}/en/")
        expect(page.locator("#run input")).to_have_value(run.name, timeout=30_000)
        expect(status(page)).to_have_text("finished", timeout=SLOW)


def test_a_killed_worker_is_shown_as_lost_with_what_is_saved(tmp_path: Path, visitor: Visitor) -> None:
    workspace = small_workspace(tmp_path / "workspace")
    with running(workspace) as server:
        page = visitor.open(f"{server.url}/en/")
        train_tiny(page, epochs="1000", method="LoRA")
        run = newest_run(workspace)
        expect(page.locator("#run-progress")).to_contain_text(re.compile(r"Step \d+"), timeout=SLOW)
        pid = process.worker_pid(run)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)
        expect(status(page)).to_have_text("lost", timeout=30_000)
        expect(page.locator("#run-ending .notice.error")).to_contain_text("signal 9", timeout=30_000)
        visitor.assert_nothing_went_wrong()


def test_the_identity_form_fills_the_blanks_and_the_plan_appears(server: Server, visitor: Visitor) -> None:
    page = visitor.open(f"{server.url}/en/")
    start = page.locator("#start")
    expect(start).to_have_text("Fill in name and maker first", timeout=30_000)
    expect(start).to_be_disabled()
    fill(page, "train-identity-name", "Lumen")
    fill(page, "train-identity-author", "Aurora Labs")
    page.locator("#train-identity-fill").click()
    done(page, "identity_lumen")
    expect(page.locator('[id="data.train"]')).to_contain_text("identity_lumen")
    expect(page.locator('[id="data.test"]')).to_contain_text("identity_lumen_test")
    expect(start).to_have_text("Start training", timeout=60_000)
    expect(page.locator("#plan")).to_contain_text(re.compile(r"[\d,]+ examples, [\d,]+ learnt tokens, [\d,]+ steps"))
    visitor.assert_nothing_went_wrong()


def test_opening_the_advanced_settings_changes_nothing(server: Server, visitor: Visitor) -> None:
    page = visitor.open(f"{server.url}/en/")
    expect(page.locator("#start")).to_have_text(re.compile("Fill in|Start"), timeout=30_000)
    fill(page, "model.path", "models/tiny")
    choose(page, "data.train", "pets")
    choose(page, "data.test", "pets_test")
    expect(page.locator("#start")).to_be_enabled(timeout=30_000)
    page.locator("#advanced button").first.click()
    expect(page.locator('[id="lora.alpha"] textarea, [id="lora.alpha"] input')).to_have_value("", timeout=30_000)
    kind = page.locator('[id="schedule.kind"] input')
    kind.focus()
    kind.blur()  # a dropdown that was only visited keeps its value, not its label
    fill(page, "lora.alpha", "24")
    page.wait_for_timeout(1500)
    expect(page.locator("#plan-notice .notice.error")).to_have_count(0)
    fill(page, "lora.alpha", "many")
    expect(page.locator("#plan-notice .notice.error")).to_contain_text("Alpha", timeout=30_000)
    fill(page, "lora.alpha", "")
    expect(page.locator("#plan-notice .notice.error")).to_have_count(0, timeout=30_000)
    visitor.assert_nothing_went_wrong()


def test_an_edited_system_prompt_must_be_saved_and_is_then_shown_rendered(server: Server, visitor: Visitor) -> None:
    page = visitor.open(f"{server.url}/en/")
    expect(page.locator("#start")).to_have_text(re.compile("Fill in|Start"), timeout=30_000)
    fill(page, "model.path", "models/tiny")
    choose(page, "data.train", "pets")
    choose(page, "data.test", "pets_test")
    fill(page, "prompt-text", "You know all pets.")
    expect(page.locator("#start")).to_have_text("Save the edited system prompt first", timeout=30_000)
    fill(page, "prompt-save-as", "pets")
    page.locator("#prompt-save").click()
    done(page, "pets is saved as version 1")
    expect(page.locator("#start")).to_have_text("Start training", timeout=30_000)
    page.locator("#preview-box button").first.click()
    expect(page.locator("#preview .token.learnt").first).to_contain_text("Pet 0 is Ada's.", timeout=30_000)
    expect(page.locator("#preview .token.context").filter(has_text="You know all pets.")).not_to_have_count(0)
    visitor.assert_nothing_went_wrong()


def test_light_and_dark_are_kept_and_the_language_can_be_changed(server: Server, visitor: Visitor) -> None:
    page = visitor.open(f"{server.url}/en/")
    assert page.evaluate("document.documentElement.lang") == "en"
    before = page.evaluate("document.body.classList.contains('dark')")
    page.locator("#theme-toggle").click()
    with visitor.leaving():
        page.reload()
        expect(page.locator("#start")).to_be_visible(timeout=60_000)
    assert page.evaluate("document.body.classList.contains('dark')") is not before
    with visitor.leaving():
        page.get_by_role("link", name="中文").click()
        expect(page.get_by_role("tab").nth(1)).to_have_text("训练", timeout=60_000)
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    visitor.assert_nothing_went_wrong()


def test_nothing_is_wider_than_a_phone(server: Server, visitor: Visitor) -> None:
    page = visitor.open(f"{server.url}/zh/")
    page.set_viewport_size({"width": 390, "height": 800})
    for number in range(6):
        open_tab(page, number)
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, number
    visitor.assert_nothing_went_wrong()
