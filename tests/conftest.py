"""What all tests share: tiny models are slowed down by threads, so that every process computes with one; and the browser."""

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

    from tests.studio_server import Visitor

ROOT = Path(__file__).parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")


@lru_cache
def opens_browser(file: str) -> bool:
    """Whether a file of tests opens a browser; told from its text, since who hands the tests out has not imported it."""
    return bool(re.search(r"^from playwright.*\bexpect\b", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))


@pytest.hookimpl(tryfirst=True)  # before -m is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what opens a browser and begin with it: it is half of the work, and waits as often as it computes."""
    for item in items:
        if opens_browser(item.nodeid.split("::")[0]):
            item.add_marker("browser")
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


class OneBrowser(LoadFileScheduling):
    """Hands the tests out by file, and all that open a browser to one process: two browsers at once starve each other."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "browser" if opens_browser(file) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneBrowser:
    return OneBrowser(config, log)


@pytest.fixture(scope="module")
def context() -> Iterator["BrowserContext"]:
    """A browser whose pages share what it has loaded: each is there a second sooner than in a browser that knows nothing."""
    from playwright.sync_api import sync_playwright

    from tests.studio_server import launch

    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser.new_context(viewport={"width": 1280, "height": 800})
        browser.close()


@pytest.fixture
def visitor(context: "BrowserContext") -> Iterator["Visitor"]:
    from tests.studio_server import Visitor

    yield Visitor(context)
    for page in context.pages:
        page.close()
