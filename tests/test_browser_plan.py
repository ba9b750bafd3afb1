"""The plan on the Train page: presets fill the settings and are undone, conflicts stop the start, the time is measured."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from core.settings.presets import preset
from core.wording import words
from tests.studio_server import Server, Visitor, choose, fill, open_tab, running, setting, small_workspace

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(small_workspace(tmp_path_factory.mktemp("studio") / "workspace", rows=80)) as server:
        yield server


def planned(server: Server, visitor: Visitor, language: str) -> Page:
    page = visitor.open(f"{server.url}/{language}/")
    open_tab(page, 1)
    fill(page, "model.path", "models/tiny")
    choose(page, "data.train", "pets")
    choose(page, "data.test", "pets_test")
    expect(page.locator("#start")).to_have_text(words(language)("start.go"), timeout=60_000)
    return page


def shown(page: Page, path: str) -> str:
    return setting(page, path).locator("input, textarea").first.input_value()


def test_a_preset_fills_the_settings_and_undo_puts_back_what_they_had(server: Server, visitor: Visitor) -> None:
    t = words("en")
    page = planned(server, visitor, "en")
    fill(page, "lora.rank", "5")
    epochs = shown(page, "schedule.epochs")
    choose(page, "preset", t("preset.qlora_paper.label"))
    expect(setting(page, "lora.rank").locator("input")).to_have_value("64", timeout=30_000)
    assert shown(page, "schedule.epochs") == epochs  # the preset does not name it
    page.locator("#advanced button").first.click()  # what nobody had looked at is filled in too
    assert float(shown(page, "lora.dropout")) == preset("qlora_paper")["lora.dropout"]
    expect(page.locator("#preset-why")).to_contain_text(t("preset.qlora_paper.why"))

    choose(page, "preset", t("preset.teach_facts.label"))  # in place of the first, not on top of it
    expect(setting(page, "schedule.epochs").locator("input")).to_have_value("8", timeout=30_000)
    expect(setting(page, "lora.dropout").locator("input").first).to_have_value("0")
    page.locator("#preset-undo").click()
    expect(setting(page, "lora.rank").locator("input")).to_have_value("5", timeout=30_000)
    assert (shown(page, "schedule.epochs"), float(shown(page, "lora.dropout"))) == (epochs, 0)
    expect(page.locator("#preset-undo")).to_be_hidden()
    visitor.assert_nothing_went_wrong()


def test_settings_that_contradict_each_other_stop_the_start_until_they_are_mended(
    server: Server, visitor: Visitor
) -> None:
    t = words("zh")
    page = planned(server, visitor, "zh")
    fill(page, "batch.cutoff_len", "9000")
    expect(page.locator("#start")).to_have_text(t("start.mend_settings"), timeout=60_000)
    expect(page.locator("#start")).to_be_disabled()
    expect(page.locator("#plan-notice .notice.error")).to_contain_text("batch.cutoff_len")
    fill(page, "batch.cutoff_len", "400")
    expect(page.locator("#start")).to_have_text(t("start.go"), timeout=60_000)
    expect(page.locator("#plan-notice .notice.error")).to_have_count(0)
    visitor.assert_nothing_went_wrong()


def open_in_detail(server: Server, visitor: Visitor, language: str, rank: str) -> Page:
    """Open the plan of a run with another rank than those that were measured before, and its details."""
    t = words(language)
    page = planned(server, visitor, language)
    fill(page, "lora.rank", rank)
    expect(page.locator("#plan")).to_contain_text(t("plan.basis.estimate"), timeout=60_000)
    page.locator("#plan-details-box button").first.click()
    expect(page.locator("#plan-details")).to_contain_text(t("plan.row.memory"))
    expect(page.locator("#plan-details .memory-parts")).to_contain_text(t("plan.part.activations"))
    return page


def test_the_plan_is_told_in_detail_and_its_time_is_measured(server: Server, visitor: Visitor) -> None:
    page = open_in_detail(server, visitor, "en", "3")
    page.locator("#plan-measure").click()
    expect(page.locator("#plan-job")).to_be_visible(timeout=30_000)
    expect(page.locator("#plan")).to_contain_text(words("en")("plan.basis.probe"), timeout=180_000)
    expect(page.locator("#plan-measure")).to_be_hidden()
    expect(page.locator("#plan-job")).to_be_hidden()
    visitor.assert_nothing_went_wrong()


def test_measuring_can_be_cancelled(server: Server, visitor: Visitor) -> None:
    t = words("zh")
    page = open_in_detail(server, visitor, "zh", "9")
    page.locator("#plan-measure").click()
    expect(page.locator("#plan-cancel")).to_be_visible(timeout=30_000)
    page.locator("#plan-cancel").click()
    expect(page.locator("#plan-job")).to_be_hidden(timeout=120_000)
    expect(page.locator("#plan-ending")).to_contain_text(t("data.job.cancelled"))
    expect(page.locator("#plan")).to_contain_text(t("plan.basis.estimate"))
    visitor.assert_nothing_went_wrong()
