"""The surroundings of the web process, made safe before Gradio is imported: it reads its environment while importing.

Gradio serves files of the working directory and of its temporary directory that a handler returns, so both are private and
empty here; its environment variables could switch on sharing, analytics, a code editor or further folders, so none is kept.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_SETTINGS = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_MCP_SERVER": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def settle() -> Path:
    """Set the environment, move into a private empty directory, and return it; it vanishes when the process ends."""
    for name in [each for each in os.environ if each.startswith("GRADIO_")]:
        del os.environ[name]
    place = Path(tempfile.mkdtemp(prefix="studio-"))  # mode 0700
    uploads = place / "uploads"
    uploads.mkdir(mode=0o700)
    os.environ.update({**_SETTINGS, "GRADIO_TEMP_DIR": str(uploads)})
    empty = place / "cwd"
    empty.mkdir(mode=0o700)
    os.chdir(empty)
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place
