"""A studio running as a real process, and a browser that notices every fault: what the browser tests stand on."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from core.runs import process as workers
from tests.tiny import build_tiny_model

ROOT = Path(__file__).parent.parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
# Tells Python of each error toast, however soon it passes.
_WATCH_TOASTS = """
new MutationObserver(() => document.querySelectorAll('.toast-body.error:not([data-noted])').forEach((toast) => {
  toast.dataset.noted = 'yes';
  window.noteToast(toast.innerText);
})).observe(document, {childList: true, subtree: true});
"""


@dataclass
class Server:
    """`python -m app` on a workspace of its own."""

    workspace: Path
    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End it as a crash would; jobs are in sessions of their own and go on."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(workspace: Path, *flags: str, port: int | None = None, **environment: str) -> Server:
    """Start a studio and return when its first page answers."""
    port = port or free_port()
    command = [sys.executable, "-m", "app", "--workspace", str(workspace), "--port", str(port), *flags]
    log = (workspace.parent / f"server-{port}.log").open("w")
    process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, text=True, env={**os.environ, **environment})
    server = Server(workspace, port, process)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError((workspace.parent / f"server-{port}.log").read_text())
        try:
            with urllib.request.urlopen(f"{server.url}/en/", timeout=10):
                return server
        except OSError:
            time.sleep(0.1)
    server.kill()
    raise RuntimeError("the studio did not answer within 90 s")


@contextmanager
def running(workspace: Path, *flags: str, **environment: str) -> Iterator[Server]:
    server = start_server(workspace, *flags, **environment)
    try:
        yield server
    finally:
        server.process.terminate()
        try:
            server.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
        for config in workspace.glob("runs/**/config.yaml"):  # a failed test must not leave a training behind
            workers.kill(config.parent)


def small_workspace(folder: Path, rows: int = 24) -> Path:
    """Make a workspace with a tiny model and two registered data sets, `pets` and `pets_test`."""
    from core.data.registry import Registry
    from core.workspace import Workspace

    workspace = Workspace.at(folder)
    build_tiny_model(workspace.models / "tiny")
    names = ["Ada", "Bo", "Cy", "Di", "Ed", "Fay", "Gus", "Hal", "Ira", "Joy", "Kim", "Leo"]
    pairs = [(f"Whose pet is number {n}?", f"Pet {n} is {names[n % 12]}'s.") for n in range(rows + 4)]
    records = [{"instruction": question, "input": "", "output": answer} for question, answer in pairs]
    registry = Registry(workspace)
    for name, part in (("pets", records[:rows]), ("pets_test", records[rows:])):
        file = folder / f"{name}.json"
        file.write_text(json.dumps(part), encoding="utf-8")
        registry.add(file, name)
        file.unlink()
    return folder


@dataclass
class Visitor:
    """A browser that collects what went wrong: script errors, console errors, failed answers, error toasts."""

    context: BrowserContext
    faults: list[str] = field(default_factory=list)
    toasts: list[str] = field(default_factory=list)
    _leaving: bool = False

    def open(self, url: str) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("console", self._console)
        page.on("response", lambda got: self.faults.append(f"{got.status} {got.url}") if got.status >= 400 else None)
        page.expose_function("noteToast", self._toast)
        page.add_init_script(_WATCH_TOASTS)
        page.goto(url)
        expect(page.locator("#start")).to_be_visible(timeout=60_000)
        return page

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """Around a reload or a link: the page that is left complains that its connections break off."""
        self._leaving = True
        yield
        self._leaving = False

    def _toast(self, text: str) -> None:
        if not self._leaving:
            self.toasts.append(text)

    def _console(self, line: ConsoleMessage) -> None:
        broken_off = self._leaving and re.search("signal is aborted|Connection errored out|Failed to fetch", line.text)
        if line.type == "error" and not broken_off:
            self.faults.append(f"console: {line.text}")

    def assert_nothing_went_wrong(self) -> None:
        assert not self.faults, self.faults
        assert not self.toasts, self.toasts


def launch(playwright: Any) -> Browser:
    return playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)


def setting(page: Page, id: str) -> Locator:
    """Return the field of a setting. Ids are dotted paths, which a selector would take for classes."""
    return page.locator(f'[id="{id}"]')


def fill(page: Page, id: str, value: str) -> None:
    field = setting(page, id).locator("input, textarea").first
    field.fill(value)
    field.blur()


def choose(page: Page, id: str, *values: str) -> None:
    """Choose from a dropdown, replacing what a multiple one had."""
    box = setting(page, id)
    clear = box.locator(".remove-all")
    if clear.count():
        clear.click()
    field = box.locator("input").first
    for value in values:
        field.click()
        page.get_by_role("option", name=value, exact=True).click()
    field.blur()
    expect(page.get_by_role("option")).to_have_count(0)  # a list that is still closing has options of the same names


def open_tab(page: Page, number: int) -> None:
    """Show a tab: Data 0, Train 1, Evaluate 2, Chat 3, Merge 4, Runs 5."""
    page.get_by_role("tab").nth(number).click()


def status(page: Page, id: str = "run-status") -> Locator:
    return page.locator(f"#{id} .pill")


def train_tiny(page: Page, epochs: str = "2", method: str = "") -> None:
    """Fill in the Train page for the tiny model, press Start, and return when the run has started."""
    fill(page, "model.path", "models/tiny")
    choose(page, "data.train", "pets")
    choose(page, "data.test", "pets_test")
    fill(page, "schedule.epochs", epochs)
    fill(page, "batch.global_batch_size", "4")
    if method:
        choose(page, "method.name", method)
    expect(page.locator("#plan p.plan")).not_to_have_class("plan waiting", timeout=30_000)
    expect(page.locator("#start")).to_be_enabled(timeout=30_000)
    page.locator("#start").click()
    expect(page.locator(".toast-body.success")).to_be_visible(timeout=60_000)
