"""The Evaluate tab as a person uses it, in a real browser: what came out, what to do next, what to read and to take along."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from core.evaluate import votes
from core.wording import words
from core.workspace import Workspace
from tests.finished_runs import finished_run
from tests.scored import write_evaluation
from tests.studio_server import Server, Visitor, choose, fill, open_tab, running, setting, small_workspace

SLOW = 30_000
EN, ZH = words("en"), words("zh")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = small_workspace(tmp_path_factory.mktemp("studio") / "workspace")
    run = finished_run(Workspace.at(folder), "desk_run", steps=18, settings={"data.test": ["desk_test", "mood_zh"]})
    (run.path / "final").mkdir()
    (run.path / "final" / "COMPLETE").touch()
    write_evaluation(run.path, steps=(100, 200))
    with running(folder) as server:
        yield server


def test_a_person_sees_what_came_out_reads_it_and_does_what_is_advised(server: Server, visitor: Visitor) -> None:
    page = visitor.open(f"{server.url}/en/")
    open_tab(page, 2)
    told = page.locator("#headline")
    expect(told).to_contain_text("Tuned is right on 72 % of desk_test, base on 12 %: +60 points (95 %:", timeout=SLOW)
    for probe in ("identity", "kept", "parity"):
        expect(page.locator("#verdicts")).to_contain_text(EN(f"probe.{probe}"))
    expect(page.locator("#figures")).to_contain_text("BLEU-4 (LLaMA-Factory)")
    _read(page)
    _advice(page)
    visitor.assert_nothing_went_wrong()


def test_what_is_taken_along_opens_without_a_network(
    server: Server, visitor: Visitor, context: BrowserContext, tmp_path: Path
) -> None:
    page = visitor.open(f"{server.url}/zh/")
    open_tab(page, 2)
    expect(page.locator("#headline")).to_contain_text("desk_test", timeout=SLOW)
    page.locator("#evaluate-csv").click()
    with page.expect_download(timeout=SLOW) as got:
        page.locator("#evaluate-file").click()
    with Path(got.value.path()).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"desk_test", "mood_zh", "identity", "kept"} == {row["source"] for row in rows}
    page.locator("#evaluate-report").click()
    expect(page.locator("#evaluate-file")).to_contain_text(".html", timeout=SLOW)
    with page.expect_download() as got:
        page.locator("#evaluate-file").click()
    report = tmp_path / "report.html"
    got.value.save_as(report)
    offline = context.new_page()
    asked: list[str] = []
    offline.on("request", lambda request: asked.append(request.url))
    offline.on("console", lambda line: asked.append(line.text))
    offline.goto(report.as_uri())
    expect(offline.locator("h1")).to_have_text(ZH("report.title", run="desk_run"))
    expect(offline.locator("svg").first).to_be_visible()
    assert asked == [report.as_uri()]
    visitor.assert_nothing_went_wrong()


def test_a_person_votes_without_knowing_whose_answer_it_is(server: Server, visitor: Visitor) -> None:
    page = visitor.open(f"{server.url}/zh/")
    open_tab(page, 2)
    expect(page.locator("#headline")).to_contain_text("desk_test", timeout=SLOW)
    page.locator("#votes button").first.click()
    pair = page.locator("#votes-pair .blind")  # not what is around it: that counts the seconds of an event
    expect(pair.locator(".sides")).to_be_visible(timeout=SLOW)
    hidden = pair.inner_text()
    assert ZH("who.tuned") not in hidden
    job = next((server.workspace / "runs" / "desk_run" / "evaluations").iterdir())
    page.locator("#votes-left").click()
    expect(pair).not_to_have_text(hidden, use_inner_text=True, timeout=SLOW)
    (vote,) = votes.read(job)
    assert vote.choice == "left"
    page.reload()
    open_tab(page, 2)
    page.locator("#votes button").first.click()
    page.locator("#votes-undo").click()
    expect(pair).to_have_text(hidden, use_inner_text=True, timeout=SLOW)
    assert votes.read(job) == []


def test_the_form_says_in_words_what_cannot_be_asked(server: Server, visitor: Visitor) -> None:
    page = visitor.open(f"{server.url}/zh/")
    page.set_viewport_size({"width": 390, "height": 800})
    open_tab(page, 2)
    expect(page.locator("#evaluate-start")).to_have_text(ZH("evaluate.start"), timeout=SLOW)
    fill(page, "evaluate-limit", "0")
    fill(page, "evaluate-longest", "99999")
    page.locator("#evaluate-start").click()
    notice = page.locator("#evaluate-notice")
    for wrong in ("limit", "max_new_tokens"):
        expect(notice).to_contain_text(wrong, timeout=SLOW)
    fill(page, "evaluate-limit", "")
    fill(page, "evaluate-longest", "64")
    page.locator("#evaluate-more button").first.click()
    choose(page, "evaluate-check", ZH("check.regex"))
    fill(page, "evaluate-pattern", "(")
    page.locator("#evaluate-start").click()
    expect(notice).to_contain_text("(", timeout=SLOW)
    expect(notice).not_to_contain_text("limit")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 800})
    visitor.faults.clear()
    assert len(list((server.workspace / "runs" / "desk_run" / "evaluations").iterdir())) == 1


def _read(page: Page) -> None:
    answers = page.locator("#answers article")
    expect(answers).to_have_count(20)
    choose(page, "answers-view", EN("view.high_score_wrong"))
    expect(page.locator("#answers")).to_contain_text(EN("view_help.high_score_wrong"), timeout=SLOW)
    expect(answers.first.locator(".right")).to_have_class("right bad")
    expect(answers.first.locator("ins").first).to_be_visible()  # what is not as it was expected
    choose(page, "answers-view", EN("view.all"))
    choose(page, "answers-set", "mood_zh")
    expect(page.locator("#answers-place")).to_contain_text("24", timeout=SLOW)
    page.locator("#answers-onward").click()
    expect(answers).to_have_count(4, timeout=SLOW)
    fill(page, "answers-search", "耳机 很好用")
    page.locator("#answers-search textarea, #answers-search input").press("Enter")
    expect(answers).to_have_count(2, timeout=SLOW)


def _advice(page: Page) -> None:
    """Press the button of a finding: the Train form has what it advises, and says from where."""
    finding = page.locator("#evaluate-findings li").filter(has=page.locator('[data-pick^="train"]')).first
    changed = dict(each.split(" = ", 1) for each in finding.locator("code").all_inner_texts())
    finding.locator('[data-pick^="train"]').click()
    expect(page.locator("#train-filled")).to_contain_text("desk_run", timeout=SLOW)
    shown = {path: json.loads(value) for path, value in changed.items() if value.replace(".", "").isdigit()}
    for path, value in shown.items():
        expect(setting(page, path).locator("input").first).to_have_value(f"{value:g}")
