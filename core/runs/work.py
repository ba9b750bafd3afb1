"""What every worker does around its work: catch what went wrong and leave it in the event log, in words."""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from core.errors import StudioError, problem
from core.progress import Cancelled
from core.runs import events, heartbeat, process
from core.workspace import DISK_FULL


def run_worker(work: Callable[[Path], None]) -> None:
    """Run `work(job)` on the directory named on the command line. The one place where a worker catches everything.

    Work that is cancelled has left everything as it was, and ends as stopped. A StudioError becomes a `run_failed` event with
    its problems; anything else becomes one with the trace, so that the page can show what happened and the person can copy
    it. Exit code 0 when the work ended or stopped, 1 when it failed.
    """
    job = Path(sys.argv[1])
    log = job / "events.jsonl"
    process.note_process(job, os.getpid())
    heartbeat.start(job)
    try:
        work(job)
    except Cancelled:
        events.append(log, events.RunStopped(step=0))
        return
    except StudioError as error:
        print(error, file=sys.stderr)
        events.append(log, events.RunFailed(problems=[each.to_dict() for each in error.problems]))
    except Exception as error:
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"[:400]
        failed = problem("run.crashed", reason=reason)
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            failed = problem("run.out_of_memory", reason=reason)
        elif isinstance(error, OSError) and error.errno in DISK_FULL:
            failed = problem("disk.full_while_running", str(job))
        with suppress(
            OSError
        ):  # the disk is too full even for that: worker.log may have it, and the checkpoints are there
            events.append(log, events.RunFailed(problems=[failed.to_dict()], details=traceback.format_exc()[-8000:]))
    else:
        return
    sys.exit(1)
