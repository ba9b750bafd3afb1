"""The run panel in a real browser: a run is stopped, gone on with and discarded, and outlives its server ten times."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from core.runs import process
from core.runs.directory import Run, listing
from core.wording import Translator, words
from core.workspace import Workspace
from tests.studio_server import ROOT, Visitor, fill, free_port, launch, setting, small_workspace, status, train_tiny

KILLS = 10
STEPS = 288
SLOW = 120_000


class Servers:
    """One studio after another on the same port and workspace."""

    def __init__(self, workspace: Path) -> None:
        self.workspace, self.port = workspace, free_port()
        command = [sys.executable, "-m", "tests.server_process"]
        self._parent = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=(workspace.parent / "servers.log").open("w"))  # fmt: skip
        self._say()
        self.pid = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _say(self) -> str:
        assert self._parent.stdout is not None
        line = ""
        while not line.strip().isdigit() and line.strip() != "ready":  # the server says its address, too
            line = self._parent.stdout.readline()
            assert line, (self.workspace.parent / "servers.log").read_text()
        return line.strip()

    def start(self) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps([str(self.workspace), self.port]) + "\n")
        self._parent.stdin.flush()
        self.pid = int(self._say())
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/healthz", timeout=5).close()
                return
            except OSError:
                assert time.monotonic() < deadline, (self.workspace.parent / "servers.log").read_text()
                time.sleep(0.05)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        while Path(f"/proc/{self.pid}").exists():
            time.sleep(0.01)

    def close(self) -> None:
        self.kill()
        self._parent.kill()
        self._parent.wait()
        for config in self.workspace.glob("runs/*/config.yaml"):
            process.kill(config.parent)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(small_workspace(tmp_path_factory.mktemp("studio") / "workspace"))
    servers.start()
    yield servers
    servers.close()


def open_page(visitor: Visitor, url: str, t: Translator) -> Page:
    page = visitor.open(url)
    page.evaluate("window.mark = 'never loaded again'")
    return page


def test_a_server_that_is_killed_ten_times_loses_no_run_no_event_and_nothing_that_was_typed(servers: Servers) -> None:
    en, zh = words("en"), words("zh")
    with sync_playwright() as playwright:
        visitor = Visitor(launch(playwright))
        pages = [open_page(visitor, f"{servers.url}/{code}/", words(code)) for code in ("en", "zh", "en")]
        first, chinese, last = pages
        train_tiny(first, epochs="48")
        expect(first.locator("#run-progress")).to_contain_text(re.compile(r"Step \d+"), timeout=SLOW)
        fill(first, "lora.rank", "12")
        for number in range(KILLS):
            servers.kill()
            if number == 0:  # the pages say so in their languages, and what is done now is done later
                expect(chinese.locator("#connection")).to_have_text(zh("page.lost"), timeout=20_000)
                expect(last.locator("#connection")).to_have_text(en("page.lost"), timeout=20_000)
                fill(first, "optim.learning_rate", "7")
            time.sleep(0.3 * (number % 3))
            servers.start()
            if number % 3 == 0:
                for page in pages:
                    expect(page.locator("#connection")).to_have_count(0, timeout=20_000)
        expect(first.locator("#plan-notice .notice.error")).to_contain_text("> 0, ≤ 1", timeout=30_000)
        (run,) = listing(Workspace.at(servers.workspace))
        for page, t in zip(pages, (en, zh, en), strict=True):
            expect(status(page)).to_have_text(t("status.finished"), timeout=SLOW)
            assert page.evaluate("window.mark") == "never loaded again"
            expect(page.locator(".toast-body.error")).to_have_count(0)
            assert drawn_steps(page) == told_steps(run) == list(range(1, STEPS + 1))
        assert setting(first, "lora.rank").locator("input").first.input_value() == "12"
        first.locator("#go-chat").click()  # the page works as before
        expect(first.locator("#chat-run input")).to_have_value(run.name, timeout=30_000)


def test_a_run_is_stopped_gone_on_with_and_discarded_after_asking(servers: Servers) -> None:
    t = words("en")
    with sync_playwright() as playwright:
        visitor = Visitor(launch(playwright))
        page = open_page(visitor, f"{servers.url}/en/", t)
        train_tiny(page, epochs="100")
        expect(page.locator("#run-progress")).to_contain_text(re.compile(r"Step \d+ of 600"), timeout=SLOW)
        expect(page.locator("#resume")).to_be_hidden()
        page.locator("#stop").click()
        expect(status(page)).to_have_text(t("status.stopped"), timeout=SLOW)
        run = listing(Workspace.at(servers.workspace))[0]
        step = told_steps(run)[-1]
        page.locator("#run-log summary").click()
        page.locator("#resume").click()
        expect(page.locator('#run-alerts [data-code="run.resumed"]')).to_contain_text(f"step {step}.", timeout=SLOW)
        expect(page.locator("#run-log pre")).to_contain_text(re.compile("[a-z]"), timeout=20_000)
        expect(page.locator("#run-progress")).not_to_contain_text(f"Step {step} ", timeout=SLOW)
        page.locator("#discard").click()
        page.locator("#run-no").click()
        expect(page.locator("#run-asking")).to_be_hidden(timeout=20_000)
        assert run.status == "running"
        page.locator("#discard").click()
        page.locator("#run-yes").click()
        expect(page.locator("#run input")).not_to_have_value(run.name, timeout=20_000)
        assert (servers.workspace / "trash" / run.name / "config.yaml").exists()
        visitor.assert_nothing_went_wrong()


def told_steps(run: Run) -> list[int]:
    lines = run.log.read_text(encoding="utf-8").splitlines()
    return [told["step"] for told in map(json.loads, lines) if told["event"] == "step_finished"]


def drawn_steps(page: Page) -> list[int]:
    """Return the steps at which the curve of the loss has its points."""
    path = page.locator("#loss-chart path.line.raw").get_attribute("d") or ""
    places = [float(point.split()[0]) for point in path.removeprefix("M").split("L")]
    return [round(place / 600 * STEPS) for place in places]
