"""The page's scripts alone in a browser, before a server made up here: what they repeat, and what they leave in place."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect, sync_playwright

from app import look
from tests.studio_server import launch

HOME = "http://127.0.0.1:9"
CONFIG = {
    "dependencies": [{"id": 1, "targets": [[5, "click"]]}, {"id": 2, "targets": [[5, "change"]]}],
    "components": [{"id": 5, "props": {"elem_id": "start"}}],
}
SETTING = f"""window.studioWords = {{lost: 'lost', interrupted: 'look', updated: 'updated', reload: 'reload'}};
              window.studioBuild = 'new'; window.gradio_config = {json.dumps(CONFIG)};"""
JOIN = """(id) => fetch('/en/gradio_api/queue/join?', {method: 'POST', body: JSON.stringify({fn_index: id})})
          .then(async (got) => [got.status, (await got.json()).detail])"""


class Broken:
    """A server whose first connection breaks after it has got what was sent."""

    def __init__(self, page: Page, build: str) -> None:
        self.joined = 0
        page.route(f"{HOME}/", lambda route: route.fulfill(body="<body></body>", content_type="text/html"))
        page.route("**/healthz", lambda route: route.fulfill(json={"status": "ok", "build": build}))
        page.route("**/queue/join*", self._join)
        page.goto(f"{HOME}/")
        script = {each.stem: each.read_text(encoding="utf-8") for each in look.SCRIPTS}
        page.add_script_tag(content=SETTING + script["connection"] + script["redraw"])

    def _join(self, route: Route) -> None:
        self.joined += 1
        if self.joined == 1:
            route.abort()
        else:
            route.fulfill(json={"event_id": "e"})


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        yield launch(playwright).new_page()


def test_what_a_person_pressed_is_sent_once_and_what_comes_by_itself_again(page: Page) -> None:
    broken = Broken(page, "new")
    assert page.evaluate(JOIN, 1) == [400, "look"]
    assert broken.joined == 1
    broken = Broken(page, "new")
    assert page.evaluate(JOIN, 2) == [200, None]
    assert broken.joined == 2


def test_a_page_that_finds_another_build_says_so_and_stays_still(page: Page) -> None:
    Broken(page, "another")
    page.evaluate(JOIN, 1)
    expect(page.locator("#connection")).to_contain_text("updated")
    expect(page.locator("#connection button")).to_have_text("reload")


def test_what_is_drawn_anew_keeps_the_keyboard_and_waits_for_a_click_that_has_begun(page: Page) -> None:
    Broken(page, "new")
    rows = "".join(f"<button data-pick='{each} b'>{each}</button>" for each in ("up", "down"))
    page.evaluate("(rows) => { document.body.innerHTML = `<div id='box'>${rows}</div>`; }", rows)
    draw = "(html) => studioRedraw(document.getElementById('box'), html)"
    page.get_by_text("down").focus()
    assert page.evaluate(draw, f"<p>more</p>{rows}") is True
    expect(page.get_by_text("down")).to_be_focused()
    page.get_by_text("up").focus()
    page.evaluate(draw, "<button data-pick='up a'>a</button><button data-pick='down b'>down</button>")
    expect(page.get_by_text("down")).to_be_focused()
    page.get_by_text("down").hover()
    page.mouse.down()
    assert page.evaluate(draw, rows) is False
    page.mouse.up()
    page.wait_for_function(f"({draw})('')")
