"""The Data page in a real browser: a file comes in, is checked, mended, split, seen through and taken out again."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from core.data.registry import Registry
from core.wording import Translator, words
from core.workspace import Workspace
from tests.studio_server import Server, Visitor, choose, fill, open_tab, running, small_workspace

pytestmark = pytest.mark.timeout(300)
SOON = 60_000  # ms: a job starts a process of its own, and the machine may be busy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    workspace = small_workspace(tmp_path_factory.mktemp("data") / "workspace")
    with running(workspace) as server:
        yield server


def data_page(server: Server, visitor: Visitor, language: str = "en") -> Page:
    page = visitor.open(f"{server.url}/{language}/")
    open_tab(page, 0)
    expect(page.locator("#data-table")).to_contain_text("pets", timeout=SOON)
    return page


def registry(server: Server) -> Registry:
    return Registry(Workspace.at(server.workspace))


def upload(page: Page, name: str, content: str | Sequence[Any], typed: str = "") -> None:
    text = content if isinstance(content, str) else "\n".join(json.dumps(row, ensure_ascii=False) for row in content)
    if typed:
        fill(page, "data-name", typed)
    with page.expect_file_chooser() as chooser:
        page.locator("#data-upload").click()
    chooser.value.set_files({"name": name, "mimeType": "application/json", "buffer": text.encode()})


def qa(count: int, start: int = 0) -> list[dict[str, str]]:
    """Return rows that are all different, also to somebody who compares them roughly."""
    things = [
        "lamp",
        "river",
        "violin",
        "castle",
        "lemon",
        "anchor",
        "glacier",
        "parrot",
        "ladder",
        "comet",
        "harbour",
        "mirror",
    ]
    return [
        {
            "instruction": f"Where is the {things[n % 12]} of house {n * 7919} kept in the year {1000 + n * 37}?",
            "output": f"The {things[(n * 5) % 12]} room number {n * 104729 % 99991} holds it.",
        }
        for n in range(start, start + count)
    ]


def done(page: Page, text: str) -> None:
    expect(page.locator(".toast-body.success").filter(has_text=text).first).to_be_visible(timeout=SOON)


def section(page: Page, name: str, t: Translator) -> None:
    page.locator("#data-tabs").get_by_role("tab", name=t(f"section.{name}"), exact=True).click()


def choose_set(page: Page, name: str) -> None:
    page.locator(f'#data-table [data-pick="{name}"]').click()
    expect(page.locator("#data-about h3")).to_contain_text(name, timeout=SOON)


def test_a_file_is_uploaded_checked_fixed_undone_and_seen_through(server: Server, visitor: Visitor) -> None:
    t = words("en")
    page = data_page(server, visitor)
    name = "houses"
    rows = qa(30)
    rows[0]["output"] = "<i>" + rows[0]["output"] + "</i>"
    upload(page, f"{name}.jsonl", [*rows, *rows[:3]])
    done(page, t("data.added", name=name, rows="33"))
    expect(page.locator("#data-about h3")).to_contain_text(name)
    finding = page.locator('#findings [data-code="duplicates"]')
    expect(finding).to_contain_text(t("findings.warning"))
    finding.locator("summary").click()
    expect(finding).to_contain_text("31")  # the line of the first copy
    expect(finding.locator(".examples li")).to_have_count(3)
    expect(page.locator("#findings i")).to_have_count(0)  # what a file brings is text, not markup
    finding.locator('[data-pick="fix:duplicates"]').click()
    done(page, t("data.done.fix", name=name, before="33", rows="30"))
    expect(page.locator("#findings .summary")).to_contain_text(t("findings.rows", n="30"), timeout=SOON)
    expect(finding).to_have_count(0)
    assert registry(server).get(name).rows == 30
    page.locator("#data-undo").click()
    done(page, t("versions.undone", name=name))
    expect(finding).to_have_count(1)
    assert registry(server).get(name).rows == 33
    section(page, "xray", t)
    choose(page, "xray-model", "models/tiny")
    shown = page.locator("#xray-shown")
    expect(shown.locator(".rendered .token.learnt")).to_contain_text(rows[0]["output"], timeout=SOON)
    expect(shown.locator(".rendered .token.context").filter(has_text=rows[0]["instruction"])).not_to_have_count(0)
    visitor.assert_nothing_went_wrong()


def test_a_broken_file_is_told_by_line_and_its_good_rows_can_be_had(server: Server, visitor: Visitor) -> None:
    t = words("zh")
    page = data_page(server, visitor, "zh")
    name = "broken"
    upload(page, "holiday.jpg", "no data")
    told = page.locator("#data-add-ending .notice.error")
    expect(told).to_contain_text(t("error.data.suffix.what", suffix=".jpg"), timeout=SOON)
    good = [json.dumps(row) for row in qa(3)]
    upload(page, f"{name}.jsonl", "\n".join([good[0], '{"instruction": "a" "output"}', *good[1:]]))
    expect(told).to_contain_text(f"{name}.jsonl:2", timeout=SOON)
    expect(told).to_contain_text(t("error.data.json.what"))
    assert name not in registry(server).names()
    expect(page.locator("#data-table")).not_to_contain_text(name)
    page.locator("#data-partial-add").click()
    done(page, t("data.added", name=name, rows="3"))
    expect(told).to_have_count(0)
    assert registry(server).get(name).rows == 3
    visitor.assert_nothing_went_wrong()


def test_a_cancelled_job_leaves_everything_as_it_was(server: Server, visitor: Visitor) -> None:
    page = data_page(server, visitor)
    before = (server.workspace / "dataset_info.json").read_text()
    upload(page, "never.jsonl", qa(100_000))  # many: it must not be done before the press
    page.locator("#data-add-cancel").click(timeout=SOON)
    expect(page.locator("#data-add-ending")).to_contain_text(words("en")("data.job.cancelled"), timeout=SOON)
    expect(page.locator("#data-add-job")).to_be_hidden()
    assert (server.workspace / "dataset_info.json").read_text() == before
    assert not list((server.workspace / "cache" / "uploads").glob("*"))
    assert not [
        each for each in (server.workspace / "data").iterdir() if "never" in each.name or each.name.startswith(".")
    ]
    visitor.assert_nothing_went_wrong()


def test_a_file_that_can_be_read_in_two_ways_is_asked_about(server: Server, visitor: Visitor) -> None:
    t = words("zh")
    page = data_page(server, visitor, "zh")
    name = "double"
    rows = [
        {**row, "conversations": [{"from": "human", "value": f"Say {n}!"}, {"from": "gpt", "value": f"Here is {n}."}]}
        for n, row in enumerate(qa(5))
    ]
    upload(page, f"{name}.jsonl", rows)
    ask = page.locator("#data-ask")
    expect(ask).to_contain_text(t("readings.ask", file=f"{name}.jsonl"), timeout=SOON)
    expect(ask.locator("section.reading:has(button.strong)")).to_have_count(2)
    expect(ask.locator(".record")).to_have_count(6)  # three rows of each reading
    assert name not in registry(server).names()
    ask.locator("section.reading").filter(has_text="Say 0!").locator("button.strong").click()
    done(page, t("data.added", name=name, rows="5"))
    expect(ask).to_be_hidden()
    assert registry(server).get(name).reading.format == "sharegpt"
    section(page, "columns", t)
    now = page.locator("#columns section.reading").filter(has_text=t("readings.now"))
    expect(now).to_contain_text("Say 0!", timeout=SOON)
    visitor.assert_nothing_went_wrong()


def test_a_file_of_unknown_columns_is_registered_once_a_person_says_which_is_which(
    server: Server, visitor: Visitor
) -> None:
    page = data_page(server, visitor)
    upload(page, "odd.jsonl", [{"zif": row["instruction"], "zaf": row["output"]} for row in qa(4)])
    form = page.locator("#data-ask details.mapping")
    expect(form).to_be_visible(timeout=SOON)
    form.locator("> summary").click()
    texts = form.locator("section.reading").first
    texts.locator('[data-key="response"]').select_option("zaf")
    texts.locator("button").click()  # the question is not chosen yet
    expect(page.locator("#data-add-notice .notice.error")).to_be_visible(timeout=SOON)
    texts.locator('[data-key="prompt"]').select_option("zif")
    texts.locator("button").click()
    done(page, "odd was checked and registered")
    entry = registry(server).get("odd")
    assert (entry.columns["prompt"], entry.columns["response"]) == ("zif", "zaf")
    assert not visitor.faults, visitor.faults


def test_rows_are_shown_a_page_at_a_time_and_any_row_can_be_gone_to(server: Server, visitor: Visitor) -> None:
    page = data_page(server, visitor)
    t = words("en")
    upload(page, "pages.jsonl", qa(25))
    done(page, "pages was checked and registered")
    section(page, "records", t)
    place, shown = page.locator("#records-place"), page.locator("#records article")
    expect(place).to_have_text("Rows 1 to 10 of 25", timeout=SOON)
    expect(shown).to_have_count(10)
    page.locator("#records-onward").click()
    expect(place).to_have_text("Rows 11 to 20 of 25")
    page.locator("#records-onward").click()
    expect(place).to_have_text("Rows 21 to 25 of 25")
    expect(page.locator("#records-onward")).to_be_disabled()
    fill(page, "records-goto", "7")
    page.locator("#records-goto input, #records-goto textarea").first.press("Enter")
    expect(place).to_have_text("Rows 7 to 16 of 25")
    expect(shown.first).to_contain_text(qa(1, 6)[0]["output"])
    visitor.assert_nothing_went_wrong()


def test_a_set_is_renamed_described_removed_and_restored(server: Server, visitor: Visitor) -> None:
    page = data_page(server, visitor)
    t = words("en")
    upload(page, "first_name.jsonl", qa(6))
    done(page, "first_name was checked and registered")
    section(page, "about", t)
    fill(page, "about-name", "second_name")
    fill(page, "about-description", "What <b>houses</b> hold.")
    page.locator("#about-save").click()
    done(page, t("about.saved", name="second_name"))
    expect(page.locator("#data-table")).to_contain_text("What <b>houses</b> hold.")  # text, not markup
    assert registry(server).get("second_name").description == "What <b>houses</b> hold."
    page.locator("#data-remove").click()
    page.locator("#data-no").click()
    expect(page.locator("#data-confirm")).to_be_hidden()
    page.locator("#data-remove").click()
    page.locator("#data-yes").click()
    done(page, t("data.removed", name="second_name"))
    assert "second_name" not in registry(server).names()
    page.locator("#data-trash-box button").first.click()
    page.locator("#data-trash tr").filter(has_text="second_name").locator("button").click()
    done(page, t("trash.restored", name="second_name"))
    assert registry(server).get("second_name").rows == 6
    expect(page.locator("#data-trash")).not_to_contain_text("second_name", timeout=SOON)  # the page is as it is now
    page.locator("#data-remove").click()
    page.locator("#data-yes").click()
    trash = page.locator("#data-trash")
    expect(trash).to_contain_text("second_name", timeout=SOON)  # the message of the first removal may still stand
    count = len(registry(server).trash())
    trash.get_by_role("button", name=t("trash.delete")).click()
    expect(trash.get_by_role("alert")).to_contain_text("MB")
    trash.get_by_role("button", name=t("about.no")).click()
    expect(trash.get_by_role("alert")).to_be_hidden()
    trash.get_by_role("button", name=t("trash.delete")).click()
    trash.get_by_role("button", name=t("trash.yes")).click()
    done(page, t("trash.emptied", n=count))
    expect(trash).to_contain_text(t("trash.empty"))
    assert registry(server).trash() == []
    visitor.assert_nothing_went_wrong()


def test_a_set_is_split_augmented_and_downloaded(server: Server, visitor: Visitor) -> None:
    page = data_page(server, visitor)
    t = words("en")
    upload(page, "whole.jsonl", qa(100))
    done(page, "whole was checked and registered")
    section(page, "split", t)
    fill(page, "split-train", "60")
    fill(page, "split-validation", "20")
    fill(page, "split-test", "20")
    page.locator("#split-start").click()
    expect(page.locator("#data-parts .parts-legend")).to_be_visible(timeout=SOON)
    parts = registry(server).get("whole").parts
    assert parts is not None
    assert parts.train + parts.validation + parts.test == 100
    assert 14 <= parts.test <= 26
    expect(page.locator("#data-parts")).to_contain_text(t("parts.test_rows", n=parts.test))
    section(page, "augment", t)
    page.locator("#augment-methods label").filter(has_text=t("augment.method.noise")).click()
    page.locator("#augment-start").click()
    expect(page.locator("#data-about")).to_contain_text(re.compile("Version 2"), timeout=SOON)
    assert registry(server).get("whole").rows > 100
    section(page, "download", t)
    choose(page, "download-format", t("download.messages"))
    page.locator("#download-start").click()
    button = page.locator("#download-file")
    expect(button).to_be_visible(timeout=SOON)
    with page.expect_download() as download:
        button.click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(lines) == registry(server).get("whole").rows
    assert json.loads(lines[0])["messages"][-1]["role"] == "assistant"
    visitor.assert_nothing_went_wrong()


def test_a_path_outside_of_what_may_be_read_is_refused_and_one_inside_is_added(
    server: Server, visitor: Visitor, tmp_path: Path
) -> None:
    page = data_page(server, visitor)
    outside = tmp_path / "secret.jsonl"
    outside.write_text(json.dumps(qa(1)[0]))
    page.locator("#data-on-disk button").first.click()
    fill(page, "data-path", str(outside))
    page.locator("#data-path-add").click()
    expect(page.locator("#data-add-notice .notice.error")).to_contain_text("lies outside", timeout=SOON)
    inside = server.workspace / "inbox.jsonl"
    inside.write_text("\n".join(json.dumps(row) for row in qa(4)))
    fill(page, "data-path", "inbox.jsonl")
    page.locator("#data-path-add").click()
    done(page, "inbox was checked and registered")
    assert inside.exists()  # a file of the person's own stays where it is
    assert not visitor.faults, visitor.faults


def test_a_folder_of_llama_factory_brings_all_its_sets_and_says_which_it_cannot(
    server: Server, visitor: Visitor
) -> None:
    page = data_page(server, visitor)
    folder = server.workspace / "factory"
    folder.mkdir()
    for name, start in (("factory_one", 0), ("factory_two", 50)):
        (folder / f"{name}.json").write_text(json.dumps(qa(4, start)))
    info = {name: {"file_name": f"{name}.json"} for name in ("factory_one", "factory_two", "factory_gone")}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    page.locator("#data-on-disk button").first.click()
    fill(page, "data-path", "factory")
    page.locator("#data-path-add").click()
    done(page, words("en")("data.done.folder", n=2, left=1))
    expect(page.locator("#data-table")).to_contain_text("factory_two")
    expect(page.locator("#data-add-ending .warnings")).to_contain_text("factory_gone")
    assert {"factory_one", "factory_two"} <= set(registry(server).names())
    visitor.assert_nothing_went_wrong()


def test_a_warning_is_accepted_for_the_present_content(server: Server, visitor: Visitor) -> None:
    page = data_page(server, visitor)
    t = words("en")
    rows = qa(20)
    upload(page, "copies.jsonl", [*rows, rows[0]])
    done(page, "copies was checked and registered")
    page.locator('#findings [data-pick="accept:duplicates"]').click()
    done(page, t("findings.accepted_done", name="copies"))
    expect(page.locator('#findings [data-code="duplicates"]')).to_contain_text(t("findings.accepted"))
    assert "duplicates" in registry(server).get("copies").accepted
    visitor.assert_nothing_went_wrong()


def test_a_second_tab_sees_a_set_that_the_first_one_added(server: Server, visitor: Visitor) -> None:
    first, second = data_page(server, visitor), data_page(server, visitor)
    upload(first, "shared.jsonl", qa(5))
    expect(first.locator("#data-table")).to_contain_text("shared", timeout=SOON)
    expect(second.locator("#data-table")).to_contain_text("shared", timeout=SOON)
    visitor.assert_nothing_went_wrong()


def test_no_section_is_wider_than_a_phone(server: Server, visitor: Visitor) -> None:
    t = words("en")
    page = data_page(server, visitor)
    choose_set(page, "pets")
    names = ("findings", "records", "xray", "columns", "split", "augment", "versions", "download", "about")
    for name in names:
        page.set_viewport_size({"width": 1280, "height": 800})  # where all tabs are seen
        section(page, name, t)
        page.set_viewport_size({"width": 390, "height": 800})
        page.wait_for_timeout(600)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    visitor.assert_nothing_went_wrong()


def test_a_set_whose_file_is_gone_says_so_and_can_be_removed(server: Server, visitor: Visitor) -> None:
    page = data_page(server, visitor)
    t = words("en")
    upload(page, "lost.jsonl", qa(4))
    done(page, "lost was checked and registered")
    choose_set(page, "pets")
    expect(page.locator("#findings .summary")).to_contain_text(t("findings.rows", n=24), timeout=SOON)
    registry(server).get("lost").file.unlink()
    choose_set(page, "lost")
    expect(page.locator("#data-about .notice.error")).to_contain_text("is not there", timeout=SOON)
    page.locator("#data-remove").click()
    page.locator("#data-yes").click()
    done(page, t("data.removed", name="lost"))
    assert "lost" not in registry(server).names()
    visitor.assert_nothing_went_wrong()
