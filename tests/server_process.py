"""Studio servers that start within a second: forked from a process that has imported everything and serves nothing.

Each line of the input is a JSON list of a workspace and a port; the process id of its server is printed. What is killed is a
server as `python -m app` runs it; only the eight seconds of importing are saved.
"""

import json
import os
import signal
import sys
from pathlib import Path

from app import private
from core.workspace import Workspace


def main() -> None:
    private.settle()
    from app import server  # after `settle`, as in `app.__main__`

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever is killed does not stay behind
    print("ready", flush=True)
    for line in sys.stdin:
        workspace, port = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            server.serve(Workspace.at(Path(workspace)), port=port)
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
