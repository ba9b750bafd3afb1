"""What all tests share: tiny models are slowed down by threads, so that every process computes with one; and the browser."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

    from tests.studio_server import Visitor

os.environ.setdefault("OMP_NUM_THREADS", "1")


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
