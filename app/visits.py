"""What lies between the browser and Gradio: a page that was hidden keeps what it has, and one of another build calls nothing.

Plain ASGI, because Starlette's BaseHTTPMiddleware holds back streams.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse

from app.build import BUILD
from app.gate import App, Receive, Scope, Send

HEADER = "x-studio-build"
KEPT = 7 * 86400  # seconds, of what a page has that is hidden or gone; chosen by us: a week away is not much


class Visits:
    """`pages` are the Gradio pages by the first part of their address.

    A hidden page gives up the connection by which Gradio knows that it is open (`connection.js`). Gradio then takes it for
    closed, for ever: each value that it has is forgotten an hour later, also when the page is looked at again.
    """

    def __init__(self, app: App, pages: Mapping[str, Any]) -> None:
        self._app, self._pages = app, pages
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        build = dict(scope["headers"]).get(HEADER.encode(), BUILD.encode())
        if build != BUILD.encode():
            await JSONResponse({"build": BUILD}, 409, {HEADER: BUILD})(scope, receive, send)
            return
        _, code, *rest = f"{scope['path']}/".split("/")
        if code in self._pages and rest[:2] == ["gradio_api", "heartbeat"]:
            await self._visit(self._pages[code], rest[2], scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _visit(self, page: Any, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the connection of an open page on; `name` is the one under which Gradio keeps what it has."""
        sessions = page.state_holder.session_data
        if name in sessions:
            sessions[name].is_closed = False
        self._open[name] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open[name] -= 1
            if name in sessions:
                sessions[name].STATE_TTL_WHEN_CLOSED = KEPT
                sessions[name].is_closed = self._open[name] == 0  # it may be shown again before it is found gone
            self._open += Counter()  # keeps those above 0
