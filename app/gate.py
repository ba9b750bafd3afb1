"""What every request passes before it reaches a page: host, origin, password, and the headers of every answer.

Plain ASGI, because Starlette's BaseHTTPMiddleware holds back streams. Gradio reflects any Origin, with credentials, when the
Host is not a localhost name; so unknown hosts are refused (DNS rebinding), foreign origins are refused (cross-site requests),
and its CORS headers are taken away: the page never needs them.
"""

import base64
import binascii
import hmac
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
WRONG_PASSWORDS, PER_SECONDS = 5, 60  # chosen by us: 7,200 guesses a day, and a person waits a minute at most
# 'unsafe-inline' and 'unsafe-eval' are needed by Gradio itself, whose HTML blocks are templates compiled in the browser.
# What remains keeps a script that slipped in from loading more, sending anything away or being framed.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-frame-options": b"DENY",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}


class Gate:
    """`hosts` are the names under which the studio may be called; an empty `password` asks for none."""

    def __init__(self, app: App, hosts: Iterable[str], password: str = "") -> None:
        self._app = app
        self._hosts = frozenset(each.lower() for each in hosts)
        self._password = password.encode()
        self._wrong: dict[str, deque[float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing of ours uses websockets
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(_with_our_headers(send), *refusal)
            return
        await self._app(scope, receive, _with_our_headers(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, dict[str, str]] | None:
        host = headers.get("host", "")
        if _name_of(host) not in self._hosts:
            return 400, "Host not allowed.", {}
        origin = headers.get("origin")
        foreign = origin is not None and origin.partition("://")[2].lower() != host.lower()
        cross_site = headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate"
        changing = scope["method"] not in _SAFE_METHODS
        if cross_site or (foreign and (changing or scope["method"] == "OPTIONS")):
            return 403, "Origin not allowed.", {}
        return self._login(scope, headers) if self._password else None

    def _login(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, dict[str, str]] | None:
        visitor = (scope.get("client") or ("?", 0))[0]
        now = time.monotonic()
        wrong = self._wrong.setdefault(visitor, deque())
        while wrong and now - wrong[0] > PER_SECONDS:
            wrong.popleft()
        if len(wrong) >= WRONG_PASSWORDS:
            wait = int(PER_SECONDS - (now - wrong[0])) + 1
            return 429, f"Too many wrong passwords. Try again in {wait} s.", {"retry-after": str(wait)}
        given = _password_of(headers.get("authorization", ""))
        if given is not None and hmac.compare_digest(given, self._password):
            wrong.clear()
            return None
        if given is not None:
            wrong.append(now)
        return 401, "Password needed.", {"www-authenticate": 'Basic realm="Finetune Studio", charset="UTF-8"'}


def _name_of(host: str) -> str:
    """Return the Host header without its port, lower case; IPv6 addresses keep their brackets."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()


def _password_of(header: str) -> bytes | None:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def _with_our_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept = [
                (name, value)
                for name, value in message.get("headers", [])
                if not name.lower().startswith(b"access-control-") and name.lower() not in _HEADERS
            ]
            message = {**message, "headers": [*kept, *_HEADERS.items()]}
        await send(message)

    return sending


async def _answer(send: Send, status: int, text: str, headers: dict[str, str]) -> None:
    body = text.encode()
    lines = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body)), **headers}
    raw = [(name.encode(), value.encode()) for name, value in lines.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
