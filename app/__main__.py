"""`python -m app`, which is what `studio ui` becomes: flags, the studio, a page a language, serve.

Exit code 0 when it was closed, 1 for an error told in three sentences, 2 for wrong usage.
"""

import argparse
import os
import sys
from pathlib import Path

from app import private
from core.errors import StudioError
from core.wording import languages
from core.workspace import Workspace


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        workspace = Workspace.at(options.workspace, tuple(options.allow))
        private.settle()
        from app import server  # after `settle`: importing Gradio reads the environment

        server.serve(
            workspace,
            host=options.host,
            port=options.port,
            language=options.lang,
            password=os.environ.pop("STUDIO_PASSWORD", ""),
            open_browser=options.open,
            take_over=options.take_over,
        )
    except StudioError as error:
        print(error.say(options.lang or _terminal_language()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="studio ui", description="Open the studio's page.")
    default = os.environ.get("STUDIO_WORKSPACE", "workspace")
    parser.add_argument("--workspace", type=Path, default=Path(default), help="folder for data, runs and models")
    parser.add_argument("--host", default="127.0.0.1", help="beyond this machine only with STUDIO_PASSWORD set")
    parser.add_argument("--port", type=_port, default=7860)
    parser.add_argument("--allow", type=Path, action="append", default=[], metavar="DIR", help="further folder to read")
    parser.add_argument("--lang", choices=languages(), default=None, help="language of the page that / opens")
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="become the one that may write, where another studio has the workspace open",
    )
    parser.add_argument("--open", action="store_true", help="open a browser when the page answers")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not between 1 and 65535")
    return port


def _terminal_language() -> str:
    wanted = (os.environ.get("LC_ALL") or os.environ.get("LANG") or "en")[:2]
    return wanted if wanted in languages() else "en"


if __name__ == "__main__":
    sys.exit(main())
