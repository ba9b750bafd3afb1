"""What all tests share: tiny models are slowed down by threads, so that every process computes with one; and the browser."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.studio_server import Visitor

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)  # before -m is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what opens a browser: `make test` runs that alone, since two browsers at once starve each other."""
    for item in items:
        if hasattr(getattr(item, "module", None), "expect"):  # Playwright's
            item.add_marker("browser")


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
