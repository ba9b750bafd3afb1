"""What all commands share: the options, words on stderr, one JSON object as the last line of stdout, exit codes."""

import contextlib
import errno
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from core.amounts import bytes_of
from core.duration import spoken
from core.errors import PathError, Problem, ResourceError, RunError, SettingsError, StudioError, problem
from core.runs import devices, events, process, queue, supervisor
from core.runs.directory import read_config
from core.runs.follow import follow
from core.train.outcome import compared, sentences
from core.wording import Translator, joined, languages, words
from core.workspace import Workspace

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", envvar="STUDIO_WORKSPACE", help="Folder for data, runs and models.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="End with one JSON object on the last line of stdout.")]
WORKSPACE = Path("workspace")
_TURN = 0.3  # seconds between two looks at the queue


def language() -> str:
    """Return the language of the terminal, English when the studio does not speak it."""
    wanted = (os.environ.get("LC_ALL") or os.environ.get("LANG") or "en")[:2]
    return wanted if wanted in languages() else "en"


def translator() -> Translator:
    return words(language())


def open_workspace(root: Path) -> Workspace:
    """Open the workspace; whoever types commands owns the machine, so that every path may be read and written."""
    return Workspace.at(root, (Path("/").resolve(),))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def answer(values: dict[str, Any], as_json: bool, text: str) -> None:
    """Print the result of a command: as the JSON last line, or as text."""
    print(json.dumps(values) if as_json else text, flush=True)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Turn StudioErrors of a command into three sentences on stderr, a JSON line where asked, and exit code 1."""

    @wraps(function)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            _converted(function, *arguments, **options)
        except StudioError as error:
            say(error.say(language()))
            if options.get("as_json"):
                found = [{**each.to_dict(), "text": each.say(language())} for each in error.problems]
                print(json.dumps({"status": "error", "problems": found}), flush=True)
            usage = isinstance(error, SettingsError) and error.problems[0].code.startswith("usage.")
            raise typer.Exit(2 if usage else 1) from error

    return run


def _converted(function: Callable[..., None], *arguments: Any, **options: Any) -> None:
    """Call a command; what the system refuses (no permission, no space) becomes words."""
    try:
        function(*arguments, **options)
    except BrokenPipeError:
        raise
    except OSError as error:
        place = str(error.filename or options.get("workspace", ""))  # a failed write names no file
        if error.errno == errno.ENOSPC:
            raise ResourceError(problem("disk.full_while_running", place)) from error
        reason = error.strerror or str(error)
        raise PathError(problem("path.unreadable", place, reason=reason)) from error


def work_through(job: Path, worker: supervisor.Worker) -> dict[str, Any]:
    """Start the worker of a job in its turn, tell its progress on stderr, and return its result with its status.

    While the job waits for its device, Ctrl-C takes it out of the queue. Then the first Ctrl-C asks the worker to save and
    stop; the second leaves it running in the background.

    Raises:
        RunError: if it failed or was lost.
    """
    t = translator()
    log = job / "events.jsonl"
    before = log.stat().st_size if log.exists() else 0  # what an earlier worker told was told then
    if worker in devices.LANES:
        _wait_for_turn(job, worker, t)
    else:
        supervisor.launch(job, worker)
    teller = _Teller(t)
    stream = follow(job, offset=before)
    while True:
        try:
            event = next(stream, None)
            if event is None:
                break
            teller.tell(event)
        except KeyboardInterrupt as interrupt:
            if (job / "stop").exists():
                say(t("cli.interrupted", name=job.name))
                raise typer.Exit(130) from interrupt
            process.ask_to_stop(job)
            say(t("cli.stopping"))
            stream = follow(
                job, offset=before
            )  # an interrupted generator is over; tell again from where the teller stands
            teller.skip()
    supervisor.wait(job)
    last = process.last_event(job)
    result = last.result if isinstance(last, events.RunFinished) else {}
    return {"status": process.status(job), **result}


def _wait_for_turn(job: Path, worker: supervisor.Worker, t: Translator) -> None:
    """Put a job into the queue and return when it has begun; meanwhile let whatever is next begin, as a server would.

    Raises:
        RunError: if somebody takes it out of the queue.
    """
    config = read_config(job)
    workspace = Workspace.at(config["workspace"], tuple(config["allow"]))
    told = 0
    with _presses() as pressed:
        queue.recover(workspace)
        queue.add(workspace, job, worker)
        while not pressed:
            queue.start_ready(workspace)
            if not (job / process.QUEUED).exists():
                break
            place = queue.place(workspace, job) or 0  # 0: its worker is just beginning
            if place not in (0, told):
                say(t("cli.waits", place=place))
                told = place
            time.sleep(_TURN)
    if pressed:
        with contextlib.suppress(RunError):  # it began in this moment: then it is asked to stop, as later
            queue.cancel(workspace, job)
            say(t("cli.waits_no_more"))
            raise typer.Exit(130)
        process.ask_to_stop(job)
        say(t("cli.stopping"))
    if not job.is_dir():
        raise RunError(problem("queue.gone", job.name))


@contextlib.contextmanager
def _presses() -> Iterator[list[int]]:
    """Note Ctrl-C instead of raising it, so that it breaks nothing off: an interrupted start of a job, or a lock that the
    exception keeps alive, would be waited for while the job is cancelled. The second one raises as ever.
    """
    pressed: list[int] = []

    def press(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        if len(pressed) > 1:
            signal.default_int_handler(number, frame)

    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else it is ignored, or somebody else's
    if not ours or threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Teller:
    """Words for the events of a job, at most a few lines a second."""

    def __init__(self, t: Translator) -> None:
        self._t = t
        self._total = 0
        self._seen = 0
        self._to_skip = 0
        self._percent = -1

    def skip(self) -> None:
        """Leave out the events that were told already, when the log is read again from its start."""
        self._to_skip, self._seen = self._seen, 0

    def tell(self, event: events.Event) -> None:
        self._seen += 1
        if self._seen <= self._to_skip:
            return
        text = self._words(event)
        if text:
            say(text)

    def _words(self, event: events.Event) -> str:
        t = self._t
        match event:
            case events.Phase():
                return t("cli.phase", name=t(f"phase.{event.name}"))
            case events.RunStarted():
                self._total = event.total_steps
            case events.StepFinished() if event.step % max(1, self._total // 40) == 0 or event.step == self._total:
                return t(
                    "cli.step",
                    step=event.step,
                    total=self._total,
                    loss=f"{event.loss:.3f}",
                    rate=f"{event.learning_rate:.2g}",
                    speed=f"{event.tokens_per_second:,.0f}",
                    left=spoken(event.seconds_left, t),
                )
            case events.Validated():
                return t("cli.validated", step=event.step, loss=f"{event.loss:.3f}")
            case events.TrainingEnded():
                lines = [f"{name}: {t('outcome.planned')} {planned}, {t('outcome.measured')} {measured}"
                         for name, planned, measured in compared(event, t)]  # fmt: skip
                return "\n".join([joined(sentences(event, t), language()), *lines])
            case events.CheckpointSaved():
                return t("cli.saved", path=event.path)
            case events.Progress() if event.unit == "bytes":
                return self._of_bytes(event)
            case events.Progress():
                return t("cli.progress", done=event.done, total=event.total, left=spoken(event.seconds_left, t))
            case events.Warned():
                return t("cli.warning", text=Problem(event.code, event.where, event.values).say(language()))
        return ""

    def _of_bytes(self, event: events.Progress) -> str:
        """Return a line when another hundredth has come."""
        percent = 100 * event.done // max(1, event.total)
        if percent == self._percent:
            return ""
        self._percent = percent
        left = spoken(event.seconds_left, self._t) if event.seconds_left else "–"
        return self._t("cli.progress", done=bytes_of(event.done), total=bytes_of(event.total), left=left)
