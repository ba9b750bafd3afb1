"""The Runs tab as a person uses it, in a real browser on a real server with five hundred runs."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.runs import bundle
from core.wording import words
from core.workspace import Workspace
from tests.finished_runs import finished_run
from tests.studio_server import Server, Visitor, open_tab, running, setting, small_workspace

SLOW = 30_000
T = words("en")
# Clicks on the tab and returns the milliseconds until the rows stand there.
_OPEN = """
() => new Promise((done) => {
  const began = performance.now();
  document.querySelectorAll('#tabs [role=tab]')[5].click();
  const look = () => {
    if (document.querySelectorAll('#runs-table tbody tr').length < 30) return setTimeout(look, 10);
    requestAnimationFrame(() => done(performance.now() - began));
  };
  look();
})
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = small_workspace(tmp_path_factory.mktemp("studio") / "workspace")
    workspace = Workspace.at(folder)
    from_498 = {499: {"continued": {"run": "run_498"}}}
    for number in range(500):
        finished_run(
            workspace,
            f"run_{number:03d}",
            created=f"2026-11-20T12:{number // 60:02d}:{number % 60:02d}",
            steps=60,
            right=float(number % 100),
            settings={"lora.rank": 24},
            **from_498.get(number, {}),
        )
    with running(folder) as server:
        yield server


def test_five_hundred_runs_are_there_within_two_seconds(server: Server, visitor: Visitor) -> None:
    took: list[float] = []
    while len(took) < 3 and min(took, default=9) >= 2:  # other tests share the cores: what counts is that it can be had
        page = visitor.open(f"{server.url}/en/")
        expect(page.locator("#plan p.plan")).to_be_visible(timeout=SLOW)  # the page has come to rest
        took.append(page.evaluate(_OPEN) / 1000)
        page.close()
    assert min(took) < 2, took
    visitor.assert_nothing_went_wrong()


def test_a_person_finds_compares_notes_deletes_restores_takes_along_and_repeats_runs(
    server: Server, visitor: Visitor, tmp_path: Path
) -> None:
    page = visitor.open(f"{server.url}/en/")
    open_tab(page, 5)
    _search_and_choose(page, "run_499")
    _write_a_note(page)
    _compare(page, server)
    _delete_and_undo(page)
    file = _take_along(page, tmp_path)
    with page.expect_file_chooser() as chooser:
        page.locator("#runs-open").click()
    chooser.value.set_files(file)
    expect(page.locator("#run-about h3")).to_contain_text("run_499_2", timeout=SLOW)
    expect(page.locator("#run-about")).to_contain_text(T("runs.elsewhere_help"))
    page.locator("#runs-rerun").click()
    expect(page.locator("#train-filled")).to_contain_text(T("runs.filled", name="run_499_2"), timeout=SLOW)
    expect(setting(page, "lora.rank").locator("input")).to_have_value("24")
    expect(page.locator("#train-filled")).to_contain_text("pets")  # its content is another one here, and that is said
    visitor.assert_nothing_went_wrong()


def _search_and_choose(page: Page, name: str) -> None:
    expect(page.locator("#runs-table tbody tr")).to_have_count(30, timeout=SLOW)
    page.locator("#runs-search textarea, #runs-search input").first.fill(name)
    expect(page.locator("#runs-table tbody tr")).to_have_count(1, timeout=SLOW)
    page.locator("#runs-table [data-pick]").click()
    expect(page.locator("#run-about h3")).to_contain_text(name, timeout=SLOW)
    expect(page.locator("#run-body .lineage .this")).to_have_text(name)


def _write_a_note(page: Page) -> None:
    page.locator("#runs-note textarea").fill("The first that works.")
    page.locator("#runs-tags textarea, #runs-tags input").first.fill("best, for Ada")
    page.locator("#runs-note-save").click()
    expect(page.locator("#runs-table .chip")).to_have_text(["best", "for Ada"], timeout=SLOW)
    page.locator("#runs-search textarea, #runs-search input").first.fill("ada best")
    expect(page.locator("#runs-table tbody tr")).to_have_count(1, timeout=SLOW)


def _compare(page: Page, server: Server) -> None:
    finished_run(Workspace.at(server.workspace), "special", settings={"lora.rank": 64}, right=12.0)
    page.locator("#runs-table [data-compare]").check()
    expect(page.locator("#runs-compare")).to_be_disabled()
    page.locator("#runs-search textarea, #runs-search input").first.fill("special")
    expect(page.locator('#runs-table [data-compare="special"]')).to_be_visible(timeout=SLOW)
    page.locator("#runs-table [data-compare]").check()
    expect(page.locator("#runs-compare")).to_have_text(T("compare.these", n=2), timeout=SLOW)
    page.locator("#runs-compare").click()
    differences = page.locator("#runs-compared table").last
    expect(differences).to_contain_text("64", timeout=SLOW)
    expect(differences.locator("tbody tr")).to_have_count(2)  # the rank, and what run_499 goes on from
    expect(page.locator("#runs-compared .overlay").first.locator("path.line")).to_have_count(2)
    page.locator("#runs-compare-close").click()
    expect(page.locator("#runs-compared")).to_be_hidden()


def _delete_and_undo(page: Page) -> None:
    page.locator("#runs-search textarea, #runs-search input").first.fill("run_499")
    expect(page.locator('#runs-table [data-pick="run_499"]')).to_be_visible(timeout=SLOW)
    page.locator("#runs-delete").click()
    expect(page.locator("#runs-undo-told")).to_contain_text(T("runs.deleted", name="run_499"), timeout=SLOW)
    expect(page.locator("#runs-table")).to_contain_text(T("runs.none_found"))
    page.locator("#runs-undo").click()
    expect(page.locator("#run-about h3")).to_contain_text("run_499", timeout=SLOW)
    expect(page.locator("#runs-table .chip").first).to_have_text("best")
    page.locator("#run-body [data-pick=run_498]").click()  # in the tree
    expect(page.locator("#run-about h3")).to_contain_text("run_498", timeout=SLOW)
    page.locator("#run-body [data-pick=run_499]").click()
    expect(page.locator("#run-about h3")).to_contain_text("run_499", timeout=SLOW)


def _take_along(page: Page, folder: Path) -> Path:
    page.locator("#runs-bundle").click()
    save = page.locator("#runs-file")
    expect(save).to_contain_text(f"run_499{bundle.SUFFIX}", timeout=SLOW)
    with page.expect_download() as download:
        save.click()
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    assert "events.jsonl" in zipfile.ZipFile(file).namelist()
    return file
