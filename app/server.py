"""The FastAPI application around the pages, and the process that serves it.

One page a language is mounted under its code (/en, /zh); / leads to the one that the browser asks for. The address is bound
before anything else is built, so that a taken port is told at once, and it is printed when it really answers.
"""

import asyncio
import ipaddress
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import gradio as gr
import psutil
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response

from app import look, page
from app.background import Background
from app.build import BUILD
from app.gate import Gate
from app.live import Live, body
from app.pulse import pulses
from app.studio import Studio
from app.visits import Visits
from core.errors import PathError, ResourceError, problem
from core.runs.owner import Owner
from core.wording import languages, words
from core.workspace import Workspace

MAX_UPLOAD = "512mb"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def create_app(
    studio: Studio, *, hosts: tuple[str, ...] = LOOPBACK, language: str | None = None, password: str = ""
) -> FastAPI:
    """Return the application: pages, health, and the gate before them.

    Args:
        hosts: names under which it may be called.
        language: what / opens; None asks the browser.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/")
    def start(request: Request) -> RedirectResponse:
        return RedirectResponse(f"/{language or preferred(request.headers.get('accept-language', ''))}", 307)

    @app.get("/favicon.ico")
    def icon() -> FileResponse:
        return FileResponse(look.ICON, media_type="image/svg+xml")

    @app.get("/healthz")
    def health() -> JSONResponse:
        return JSONResponse({"status": "ok", "build": BUILD})

    live, one_thread = Live(studio, pulses()), ThreadPoolExecutor(1)  # more would only wait for each other

    @app.get("/live/{code}")
    async def news(
        code: str, run: str | None = None, stamp: str = "", viewer: str = "", log: int = -1, queue: bool = False
    ) -> Response:
        asked = partial(live.answer, code, run, stamp, viewer, log, queue)
        said = await asyncio.get_running_loop().run_in_executor(one_thread, asked)
        return Response(body(said), media_type="application/json", headers={"cache-control": "no-store"})

    pages = {code: page.build(studio, code) for code in languages()}
    for code, blocks in pages.items():
        gr.mount_gradio_app(
            app,
            blocks,
            path=f"/{code}",
            footer_links=[],
            run_history=False,
            allowed_paths=[],
            blocked_paths=[str(studio.workspace.root)],
            show_error=False,
            max_file_size=MAX_UPLOAD,
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            mcp_server=False,
            theme=look.theme(),
            css_paths=[look.STYLE],
            head=look.head(code),
        )
    app.add_middleware(Visits, pages=pages)
    app.add_middleware(Gate, hosts=hosts, password=password)
    return app


def preferred(accept_language: str) -> str:
    """Return the best of our languages for an Accept-Language header, English when none fits."""
    wishes = []
    for part in accept_language.split(","):
        code, _, quality = part.strip().partition(";q=")
        try:
            wishes.append((-float(quality or 1), code[:2].lower()))
        except ValueError:
            continue
    return next((code for _, code in sorted(wishes, key=lambda wish: wish[0]) if code in languages()), "en")


def serve(
    workspace: Workspace,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    language: str | None = None,
    password: str = "",
    open_browser: bool = False,
    take_over: bool = False,
) -> None:
    """Serve the studio until it is interrupted.

    A workspace that another server has open is only shown, unless `take_over` asks that server to give it up.

    Raises:
        PathError: if `host` is beyond this machine and no password is set.
        ResourceError: if the port is taken, or the address is not of this machine.
    """
    if not is_loopback(host) and not password:
        raise PathError(problem("port.no_password", host))
    listening = bind(host, port)
    try:
        t = words(language or "en")
        address = f"http://{_shown(host)}:{port}/"
        owner = Owner(workspace, address)
        studio = Studio(workspace, owner)
        if not owner.take() and take_over:
            _take_over(owner, language or "en")
        app = create_app(studio, hosts=_hosts(host), language=language, password=password)

        def told(writes: bool) -> None:
            print(t("server.writes_again" if writes else "server.taken_over", address=owner.where()), flush=True)

        background = Background(studio, told)

        def ready() -> None:
            print(t("server.ready", address=address), flush=True)
            if not owner.writes:
                print(t("server.read_only", address=owner.where()), flush=True)
            background.start()
            if open_browser:
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=2)
        try:
            _Server(config, ready).run(sockets=[listening])
        finally:
            background.stop()
            studio.close()
    finally:
        listening.close()


def _take_over(owner: Owner, language: str) -> None:
    """Take the workspace from the server that has it; one that does not answer keeps it, and this one only looks."""
    try:
        owner.take_over()
    except ResourceError as error:
        print(error.say(language), file=sys.stderr, flush=True)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Server(uvicorn.Server):
    """Uvicorn that says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        ResourceError: if the port is taken, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named: without, asyncio leaves it to the system to hold the second piece of an answer back for 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        where = f"{host}:{port}"
        code = "port.in_use" if error.errno in (98, 48, 10048) else "port.cannot_listen"
        raise ResourceError(problem(code, where, port=port, reason=error.strerror or str(error))) from error
    return listening


def _hosts(host: str) -> tuple[str, ...]:
    """Return the names under which a server on `host` may be called."""
    if is_loopback(host):
        return (*LOOPBACK, f"[{host}]" if ":" in host else host)
    if host not in ("0.0.0.0", "::"):
        return (*LOOPBACK, f"[{host}]" if ":" in host else host)
    own = [each.address.partition("%")[0] for found in psutil.net_if_addrs().values() for each in found]
    return (*LOOPBACK, socket.gethostname(), socket.getfqdn(), *own, *(f"[{each}]" for each in own if ":" in each))


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
