"""What all tests share: tiny models are slowed down by threads, so that every process computes with one; and the browser."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.studio_server import Visitor

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each file to one process, and all that open a browser to the same, first: two at once starve each other."""
    slow = {item.path for item in items if hasattr(getattr(item, "module", None), "expect")}  # Playwright's
    for item in items:
        item.add_marker(pytest.mark.xdist_group("browser" if item.path in slow else item.path.name))
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    from tests.studio_server import launch

    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def visitor(browser: "Browser") -> Iterator["Visitor"]:
    from tests.studio_server import Visitor

    visitor = Visitor(browser)
    yield visitor
    for context in browser.contexts:
        context.close()
