"""Start, stop and watch the worker process of a job. A job is never tied to a browser tab or to the web process."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import psutil
import yaml

from core.runs import events

Status = Literal["queued", "running", "finished", "failed", "stopped", "lost"]
QUEUED = "queued"  # a file in the directory of a job that waits for its turn

# A worker gets what it needs to run and to find models, and nothing else: no keys of other services.
_PASSED_ON = (
    *(
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "TMPDIR",
        "TZ",
        "LD_LIBRARY_PATH",
        "VIRTUAL_ENV",
        "SYSTEMROOT",
        "XDG_CACHE_HOME",
    ),
    *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_ENDPOINT"),
    *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_HOME", "OMP_NUM_THREADS", "GOMP_SPINCOUNT"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
)
_GENERATOR = ("STUDIO_GEN_BASE_URL", "STUDIO_GEN_MODEL", "STUDIO_GEN_API_KEY")
_TRACKERS = {
    "wandb": ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT"),
    "mlflow": (
        *("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_SERVER_CERT_PATH"),
        *("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
    ),
    "trackio": ("TRACKIO_DIR", "TRACKIO_PROJECT", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_WRITE_TOKEN"),
}
_PROJECT = Path(__file__).parent.parent.parent


def worker_environment() -> dict[str, str]:
    """Return the environment of a worker."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # OpenMP's threads wait by spinning. When two workers share the cores that way, each gets a tenth of its speed; with short
    # spins each gets half (measured, 2 cores: 279 against 1,150 tokens/s).
    # oneDNN keeps what it prepared for every shape of a product that it met, and each row of examples has another: 30 MB a
    # step. Few kept ones are as fast (measured, a training of 5.6 million weights: 845 MB after 24 steps, 1,341 otherwise).
    return {
        "GOMP_SPINCOUNT": "2000",
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
        "LRU_CACHE_CAPACITY": "16",
        **kept,
        "PYTHONPATH": str(_PROJECT),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
    }


def _spins(module: str) -> dict[str, str]:
    """Let a training spin longer, for a seventh more speed: beside a worker that does not, neither is slower (2 cores)."""
    longer = module == "core.train.worker" and "GOMP_SPINCOUNT" not in os.environ
    return {"GOMP_SPINCOUNT": "10000"} if longer else {}


def _further(module: str, job: Path) -> dict[str, str]:
    """Return what one worker alone gets: augmentation and a judge the text generator, a training its trackers' keys."""
    names: tuple[str, ...] = ()
    if module == "core.curate.worker" or (module == "core.evaluate.worker" and _asks_a_judge(job)):
        names = _GENERATOR
    elif module in ("core.train.worker", "core.experiments.worker"):  # whose trainings get them from it
        names = tuple(name for tracker in _chosen_trackers(job) for name in _TRACKERS.get(tracker, ()))
    return {name: os.environ[name] for name in names if name in os.environ}


def _chosen_trackers(job: Path) -> list[str]:
    return list(_configured(job, "settings", "log", "trackers") or ())


def _asks_a_judge(job: Path) -> bool:
    return _configured(job, "options", "judge") == "endpoint"


def _configured(job: Path, *path: str) -> Any:
    """Return what stands at a path of keys in a job's config, None where nothing does."""
    try:
        values = yaml.safe_load((job / "config.yaml").read_text(encoding="utf-8"))
        for key in path:
            values = values[key]
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):  # of an older studio, or broken
        return None
    return values


def start(job: Path, module: str) -> subprocess.Popen[bytes]:
    """Start `python -m module JOB` and return the process. Whoever called should wait for it, lest it stays as a zombie."""
    process = spawn(job, module)
    note_process(job, process.pid)
    return process


def spawn(job: Path, module: str, before: Sequence[str] = (), **environment: str) -> subprocess.Popen[bytes]:
    """Start `python -m [before] module JOB` without noting it, and return the process.

    The worker gets a session of its own, so that closing the studio does not end it.
    """
    with (job / "worker.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", *before, module, str(job)],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**worker_environment(), **_spins(module), **_further(module, job), **environment},
            cwd=job,
            start_new_session=True,
        )


def note_process(job: Path, pid: int) -> None:
    """Write down which process works on a job, and how long its log was before that one told anything.

    Whoever started it does so, and the worker itself, lest one is killed; who is second changes nothing.
    """
    if worker_pid(job) == pid:
        return
    (job / "worker.exit").unlink(missing_ok=True)  # of the worker before
    aside = job / f"worker.pid.{os.getpid()}"
    aside.write_text(f"{identity(pid)} {_log_bytes(job)}")
    aside.replace(job / "worker.pid")


def ask_to_stop(job: Path) -> None:
    """Ask the worker to save and stop after the current step. It looks for this file once a step."""
    (job / "stop").touch()


def kill(job: Path) -> None:
    """End the worker of this job at once, if it is still the process that was started for it."""
    pid = worker_pid(job)
    if pid is not None:
        psutil.Process(pid).kill()


def worker_pid(job: Path) -> int | None:
    """Return the process id of the job's worker while it lives, else None."""
    try:
        return living((job / "worker.pid").read_text())
    except FileNotFoundError:
        return None


def identity(pid: int) -> str:
    """Return what tells a process from a later one with the same id: the id and when it started."""
    return f"{pid} {_started(pid)}"


def living(told: str) -> int | None:
    """Return the process id of an `identity` while that process runs, else None."""
    pid, started, *_ = [*told.split(" "), ""]
    if not pid.isdigit():  # the machine lost its power before the file was on the disk
        return None
    now = _started(int(pid))
    # Start times are computed from the boot time, which a clock correction may move by a second.
    return int(pid) if now and started and abs(float(now) - float(started)) < 2 else None


def status(job: Path) -> Status:
    """Tell the state of a job from its directory alone.

    "lost" means that the worker is gone and has not said why: killed, out of memory, machine restarted.
    """
    if (job / QUEUED).exists():
        return "queued"
    alive = worker_pid(job) is not None  # before the log is read: a worker writes its end first and leaves then
    last = last_event(job)
    if last is not None and last.event in events.ENDS and not told_nothing(job):  # else it is the earlier one's end
        return last.event.removeprefix("run_")  # type: ignore[return-value]
    if alive:
        return "running"
    return "queued" if last is None and not (job / "worker.pid").exists() else "lost"


def told_nothing(job: Path) -> bool:
    """Tell whether the job's last worker, living or not, has not told anything yet."""
    try:
        noted = (job / "worker.pid").read_text().split(" ")
    except FileNotFoundError:  # of another studio
        return False
    return len(noted) == 3 and int(noted[2]) == _log_bytes(job)


def _log_bytes(job: Path) -> int:
    log = job / "events.jsonl"
    return log.stat().st_size if log.exists() else 0


def last_event(job: Path) -> events.Event | None:
    """Return the last whole event, reading only the end of the log."""
    log = job / "events.jsonl"
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return None
    for window in (4096, 262_144, size):
        start = max(0, size - window)
        with log.open("rb") as file:
            file.seek(start)
            tail = file.read()
        first = 0 if start == 0 else tail.find(b"\n") + 1
        if start == 0 or (first and b"\n" in tail[first:]):
            found, _ = events.read_from(log, start + first)
            return found[-1] if found else None
    return None


def _started(pid: int) -> str:
    """Return the start time of a process, or "" when it does not run. It tells a reused process id from the worker's."""
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""
