"""The Train page shows what a run will learn of each set, takes weights in place, and asks about warnings once."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import expect

from app import mixture
from core.data.registry import Registry
from core.runs.directory import listing
from core.train.examples import Source
from core.wording import words
from core.workspace import Workspace
from tests.studio_server import Server, Visitor, choose, fill, open_tab, running, small_workspace

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = small_workspace(tmp_path_factory.mktemp("studio") / "workspace")
    rows = [{"instruction": f"Which number is {n}?", "output": f"It is {n}."} for n in range(60)]
    leaked = [{"instruction": "Whose pet is number 25?", "output": "Pet 25 is Bo's."}]
    for name, content in (("copies", [*rows, *rows[:3]]), ("leaky", [*rows, *leaked])):
        file = folder / f"{name}.json"
        file.write_text(json.dumps(content), encoding="utf-8")
        Registry(Workspace.at(folder)).add(file, name)
    with running(folder) as server:
        yield server


def test_weights_are_changed_in_the_table_and_warnings_accepted_with_a_button(server: Server, visitor: Visitor) -> None:
    t = words("zh")
    page = visitor.open(f"{server.url}/zh/")
    open_tab(page, 1)
    fill(page, "model.path", "models/tiny")
    choose(page, "data.train", "pets", "copies")
    choose(page, "data.test", "pets_test")
    expect(page.locator("#start")).to_have_text(t("start.accept_warnings"), timeout=60_000)
    expect(page.locator("#start")).to_be_disabled()
    expect(page.locator("#train-findings [data-code=duplicates]")).to_contain_text("copies")

    field = page.locator('#mixture input[data-weight="pets"]')
    expect(field).to_have_value("1")
    field.fill("3")
    field.blur()
    expect(page.locator('#mixture tr:has([data-weight="pets"])')).to_contain_text("18×", timeout=30_000)  # 3 x 6 passes
    expect(page.locator('#mixture input[data-weight="pets"]')).to_have_value("3")

    page.locator("#train-accept").click()
    expect(page.locator(".toast-body.success").filter(has_text=t("train.accepted"))).to_be_visible(timeout=30_000)
    expect(page.locator("#start")).to_have_text(t("start.go"), timeout=30_000)
    expect(page.locator("#train-findings [data-code]")).to_have_count(0)
    expect(page.locator("#train-accept")).to_be_hidden()
    fill(page, "schedule.epochs", "1")
    expect(page.locator("#start")).to_be_enabled(timeout=30_000)
    before = len(listing(Workspace.at(server.workspace)))
    page.locator("#start").click()
    deadline = time.monotonic() + 60  # it starts or, while the run of the other language is at work, waits
    while len(listing(Workspace.at(server.workspace))) == before:
        assert time.monotonic() < deadline, visitor.faults
        page.wait_for_timeout(100)
    config = yaml.safe_load(
        (listing(Workspace.at(server.workspace))[0].path / "config.yaml").read_text(encoding="utf-8")
    )
    assert config["findings"] == {"pets": {"accepted": []}, "copies": {"accepted": ["duplicates"]}}
    assert config["settings"]["data"]["weights"] == {"pets": 3.0}
    visitor.assert_nothing_went_wrong()


def test_a_test_row_in_the_training_data_keeps_start_closed(server: Server, visitor: Visitor) -> None:
    page = visitor.open(f"{server.url}/en/")
    open_tab(page, 1)
    fill(page, "model.path", "models/tiny")
    choose(page, "data.train", "leaky")
    choose(page, "data.test", "pets_test")
    expect(page.locator("#start")).to_have_text("Mend the data first", timeout=60_000)
    expect(page.locator("#train-findings [data-code=leakage]")).to_contain_text("leaky")
    expect(page.locator("#train-accept")).to_be_hidden()
    choose(page, "data.train", "pets")
    expect(page.locator("#start")).to_have_text("Start training", timeout=60_000)
    visitor.assert_nothing_went_wrong()


def test_a_plan_that_takes_long_says_what_it_waits_for(server: Server, visitor: Visitor) -> None:
    rows = [{"instruction": f"What follows {n}?", "output": " ".join(map(str, range(n, n + 30)))} for n in range(8000)]
    file = Path(server.workspace) / "many.json"
    file.write_text(json.dumps(rows), encoding="utf-8")
    Registry(Workspace.at(server.workspace)).add(file, "many")
    page = visitor.open(f"{server.url}/en/")
    open_tab(page, 1)
    fill(page, "model.path", "models/tiny")
    choose(page, "data.test", "pets_test")
    choose(page, "data.train", "many")
    expect(page.locator("#plan")).to_contain_text(
        re.compile("turned into tokens|is read, checked and counted"), timeout=30_000
    )
    expect(page.locator("#start")).to_be_disabled()
    expect(page.locator("#plan")).to_contain_text("learnt tokens", timeout=120_000)
    visitor.assert_nothing_went_wrong()


def test_a_weight_of_one_needs_no_line() -> None:
    assert mixture.weighed("", "a", "2") == "a = 2"
    assert mixture.weighed("a = 2\nb = 0.5", "a", "3,5") == "b = 0.5\na = 3.5"
    assert mixture.weighed("a = 2\nb = 0.5", "b", "1") == "a = 2"
    assert mixture.weighed("a = 2", "a", "") == mixture.weighed("a = 2", "a", None) == ""


def test_the_table_shows_names_as_text() -> None:
    source = Source("<b>x</b>", 10, 100, 50, 0, 20, 0.25, 6.0)
    shown = mixture.shown([source], {"<b>x</b>": 2}, words("en"))
    assert "<b>" not in shown
    assert 'value="2"' in shown
    assert ">60<" in shown
    assert "6×" in shown
    assert "25 %" in shown
