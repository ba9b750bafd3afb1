"""What a server knows of a page: that it is open again after it was hidden, and from which build it is."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.build import BUILD
from app.server import create_app
from app.studio import Studio
from app.visits import HEADER, KEPT, Visits
from core.workspace import Workspace

HOME = "http://127.0.0.1:7860"
VISIT = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "query_string": b"", "root_path": "",
         "path": "/en/gradio_api/heartbeat/visitor", "raw_path": b"/en/gradio_api/heartbeat/visitor",
         "headers": [(b"host", b"127.0.0.1:7860")], "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 7860)}  # fmt: skip


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return create_app(Studio(Workspace.at(tmp_path_factory.mktemp("visits"))))


async def visit(app: FastAPI, left: asyncio.Event) -> None:
    """Open the page's connection and hold it until it is `left`."""

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    await app(dict(VISIT), receive, send)


def test_a_page_that_was_hidden_is_open_again_when_it_is_looked_at(app: FastAPI) -> None:
    (pages,) = (each.kwargs["pages"] for each in app.user_middleware if each.cls is Visits)
    session = pages["en"].state_holder["visitor"]

    async def hide_and_show() -> None:
        left = [asyncio.Event() for _ in range(3)]
        first = asyncio.create_task(visit(app, left[0]))
        await asyncio.sleep(0.2)
        assert not session.is_closed
        left[0].set()
        await first
        assert session.is_closed
        assert session.STATE_TTL_WHEN_CLOSED == KEPT
        second, third = (asyncio.create_task(visit(app, each)) for each in left[1:])
        await asyncio.sleep(0.2)
        assert not session.is_closed
        left[1].set()  # an old connection that is found gone when there is a new one
        await second
        assert not session.is_closed
        left[2].set()
        await third
        assert session.is_closed

    asyncio.run(hide_and_show())


def test_a_page_of_another_build_can_call_nothing(app: FastAPI) -> None:
    client = TestClient(app, base_url=HOME)
    assert client.get("/healthz").json()["build"] == BUILD
    assert BUILD in client.get("/en/").text
    for build, status in (("older", 409), (BUILD, 422)):
        answer = client.post("/en/gradio_api/queue/join", headers={HEADER: build}, json={})
        assert answer.status_code == status
        assert (HEADER in answer.headers) == (status == 409)
