"""What is new of a run, for all pages that watch it: one look at its directory and one drawing a language, shared.

A page asks for itself (`live.js`) instead of by a Gradio event: such an event goes through a queue, a session and a stream,
and costs fifteen times as much, which fifty pages would take from the training. A page that nobody sees does not ask.
"""

import json
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from app import jobs, run_view, standing
from app.notices import notice, unexpected
from app.parts import empty
from app.pulse import Pulse
from app.studio import Studio
from core.errors import PathError, StudioError
from core.wording import Translator, languages, words
from core.workspace import checked_name

IN_ALL = 10.0  # answers a second to all pages together; chosen by us: some 2 % of a processor core
OFTEN, SELDOM = 1.0, 2.0  # seconds between two questions of a page, while a run is at work and else
LONGEST = 10.0  # seconds in the mean; no number of pages, and nobody who invents some, makes a page older than that
EVENT = 1.0  # seconds between two events of a page for each page that is open: all together take 4 % of a core; chosen by us
_FRESH = 0.5  # seconds for which one look serves all
_KEPT = 32  # drawn runs, and watched ones


@dataclass
class _Watched:
    lock: threading.Lock = field(default_factory=threading.Lock)
    at: float = 0.0
    look: run_view.Look | None = None
    drawn: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)  # language -> stamp, parts


class Live:
    """Answers the pages. `pulses` name things whose news a page fetches with an event of its own: name -> a stamp of it."""

    def __init__(self, studio: Studio, pulses: dict[str, Pulse]) -> None:
        self._studio, self._pulses = studio, pulses
        self._watched: OrderedDict[str, _Watched] = OrderedDict()
        self._viewers: dict[str, float] = {}
        self._failures: dict[str, tuple[str, StudioError]] = {}
        self._lock = threading.Lock()
        self._names: tuple[float, float, list[str]] = (
            0.0,
            0.0,
            [],
        )  # when they were read, of which state of the folder
        self._beats: tuple[float, dict[str, str]] = (0.0, {})
        self._born = f"{time.time():.3f}"

    def answer(
        self, language: str, run: str | None, stamp: str, viewer: str, log: int = -1, queue: bool = False
    ) -> dict[str, Any]:
        """Return what a page does not know yet: of what stands above its tabs, of jobs, and of a run its `stamp` and parts.

        Args:
            run: the one that the page shows, "" while there is none; None where no tab that shows one is open.
            stamp: the one that the page has shown last.
            viewer: a name that the page has given itself; pages are counted by it.
            log: the bytes of the worker's output that were there when the page showed its end; -1 where it is folded.
            queue: whether the page shows the queue.
        """
        t = words(language if language in languages() else "en")
        said: dict[str, Any] = {"names": names_stamp(self.names()), "pulses": self._beat(), **self._stands(t, queue)}
        if run is None:
            return {**said, **self._rest(viewer, OFTEN)}
        try:
            found = self._look(run) if self._is_there(run) else None
            drawn = self._draw(found, t) if found is not None and found.stamp != stamp else None
        except StudioError as error:
            if self._is_there(run):
                return {**said, **_told(error, t), **self._rest(viewer, SELDOM)}
            found = drawn = None  # it was deleted just now
        except Exception as error:  # the border of a page: what nobody foresaw is said there, and stops no others
            return {**said, **self._failed(run, error, t), **self._rest(viewer, SELDOM)}
        if found is None:
            shown = {**dict.fromkeys(run_view.PARTS, ""), "run-status": empty(t("run.none"))}
            news = {} if stamp == "none" else {"stamp": "none", "can": "", "parts": shown}
            return {**said, **news, **self._rest(viewer, SELDOM)}
        if drawn is not None:
            said |= {"stamp": found.stamp, "can": " ".join(found.can), "parts": drawn}
        if log >= 0:
            said |= _log(found, log)
        return {**said, **self._rest(viewer, OFTEN if found.seen.active else SELDOM)}

    def names(self) -> list[str]:
        """Return the names of all runs, newest first."""
        read, changed, names = self._names
        present = self._studio.workspace.runs.stat().st_mtime
        if present != changed or read - changed < 2:  # a run is there a moment after its folder was made
            names = [run.name for run in self._studio.runs()]
            self._names = (time.time(), present, names)
        return names

    def _is_there(self, name: str) -> bool:
        """Tell whether there is such a run; where there is none, `names` makes the page choose another.

        Asked before anything is read: whoever makes names up costs one look at the disk.
        """
        try:
            return (self._studio.workspace.runs / checked_name(name) / "config.yaml").exists()
        except PathError:
            return False

    def _beat(self) -> dict[str, str]:
        now = time.monotonic()
        if now - self._beats[0] > _FRESH:
            self._beats = (now, {name: self._stamp(name, pulse) for name, pulse in self._pulses.items()})
        return self._beats[1]

    def _stamp(self, name: str, pulse: Pulse) -> str:
        """Return the stamp of a pulse. After a restart it is another: the server has forgotten what its pages show."""
        try:
            told = pulse(self._studio)
        except Exception as error:  # the border of a page: one broken job must not silence the rest
            self._logged(f"pulse {name}", error)
            return self._beats[1].get(name, "")
        return f"{self._born} {told}" if told else ""

    def _stands(self, t: Translator, queue: bool) -> dict[str, Any]:
        try:
            return {"standing": standing.told(self._studio, t, queue)}
        except Exception as error:  # as above
            self._logged("standing", error)
            return {}

    def _look(self, name: str) -> run_view.Look:
        watched = self._watch(name)
        with watched.lock:
            if watched.look is None or time.monotonic() - watched.at > _FRESH:
                watched.look = run_view.look(self._studio, self._studio.run(name))
                watched.at = time.monotonic()
            return watched.look

    def _watch(self, name: str) -> _Watched:
        with self._lock:
            watched = self._watched.setdefault(name, _Watched())
            self._watched.move_to_end(name)
            if len(self._watched) > _KEPT:
                self._watched.popitem(last=False)
            return watched

    def _draw(self, found: run_view.Look, t: Translator) -> dict[str, str]:
        watched, language = self._watch(found.run.name), t("language.code")
        with watched.lock:
            known = watched.drawn.get(language)
            if known is None or known[0] != found.stamp:
                known = watched.drawn[language] = (found.stamp, run_view.parts(found, t))
            return known[1]

    def _failed(self, run: str, error: Exception, t: Translator) -> dict[str, Any]:
        """Return the words for a run that cannot be shown."""
        return _told(self._logged(run, error), t)

    def _logged(self, what: str, error: Exception) -> StudioError:
        """Return the words for an error that nobody foresaw, logged once."""
        known = self._failures.get(what)
        if known is None or known[0] != repr(error):
            known = self._failures[what] = (repr(error), unexpected(error))
        return known[1]

    def _rest(self, viewer: str, least: float) -> dict[str, int]:
        """Return the milliseconds until a page should ask again, and between its events: longer the more pages there are.

        Many pages are asked to come together: fifty answers in a row cost a training half of what they cost one by one, each
        with the processor's caches full of the training.
        """
        now = time.monotonic()
        with self._lock:
            self._viewers = {name: until for name, until in self._viewers.items() if until > now}
            count = len(self._viewers | {viewer: now})
            wait = min(LONGEST, max(least, count / IN_ALL))
            self._viewers[viewer[:40]] = now + 2 * wait + 3  # whoever has not asked until then is gone
        if count / IN_ALL > least:
            wait += wait / 2 - (now + wait / 2) % wait  # to a whole multiple, in half to one and a half times the wait
        return {"wait": round(1000 * wait), "event": round(1000 * EVENT * min(count, 60))}


def _told(error: StudioError, t: Translator) -> dict[str, Any]:
    """Return the words for a run that cannot be shown, in the place of its status."""
    told = notice(error.problems, t("language.code"))
    return {"stamp": "failed", "can": "", "parts": {**dict.fromkeys(run_view.PARTS, ""), "run-status": told}}


def names_stamp(names: list[str]) -> str:
    """Return a short text that is another when the runs are others."""
    return f"{len(names)} {names[0] if names else ''}"


def body(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def _log(found: run_view.Look, shown: int) -> dict[str, Any]:
    """Return the end of the raw output and how long all of it is, or nothing when the page has just that."""
    file = found.run.path / "worker.log"
    size = file.stat().st_size if file.exists() else 0
    return {} if size == shown else {"log": jobs.raw_log(found.run.path), "log_size": size}
