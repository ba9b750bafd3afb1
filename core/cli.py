"""The entry point of the command line: `studio`. The same settings and the same run directories as the page.

Every command takes --workspace and --json. Progress and errors go to stderr, the result to stdout; exit code 1 for an
error that is told in three sentences, 2 for wrong usage. The commands are imported only when one is asked for: the page
opens half a second sooner without them.
"""

import importlib
import io
import os
import sys
from pathlib import Path


def main() -> None:
    """Open the page for `studio`, `studio ui …` and `studio --flag …`; run a command otherwise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show Chinese shows its code
    arguments = sys.argv[1:]
    if not arguments or arguments[0] == "ui" or (arguments[0].startswith("--") and arguments[0] != "--help"):
        open_page(arguments[1:] if arguments[:1] == ["ui"] else arguments)
    importlib.import_module("core.commands.root").tree(arguments[0])()


def open_page(arguments: list[str]) -> None:
    """Become the web process; it imports the interface, which the engine does not."""
    project = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, (project, os.environ.get("PYTHONPATH"))))
    os.execve(sys.executable, [sys.executable, "-P", "-m", "app", *arguments], {**os.environ, "PYTHONPATH": path})


if __name__ == "__main__":
    main()
