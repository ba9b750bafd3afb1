"""What all tests share: tiny models are slowed down by threads, so that every process computes with one; and the browser."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

    from tests.studio_server import Visitor

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)  # before -m is looked at, and before the tests are handed out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hand the tests out by module, and all that open a browser to one process: two browsers at once starve each other.

    That process begins at once, since it has most to do, and waits as often as it works: two cores keep three processes busy.
    """
    for item in items:
        module = getattr(item, "module", None)
        browser = hasattr(module, "expect")  # Playwright's
        if browser:
            item.add_marker("browser")
        item.add_marker(pytest.mark.xdist_group("browser" if browser else getattr(module, "__name__", "")))
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


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
