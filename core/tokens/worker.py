"""One of the processes that encode rows: `python -m core.tokens.worker`, lines on stdin, arrays on stdout.

The first line names the tokenizer's folder and the system prompt; each further one holds rows. It ends with its stdin, so
that none is left behind when the process that asked is killed. No torch here.
"""

import os
import sys
from pathlib import Path

import orjson

from core.tokens.encoder import Encoder
from core.tokens.wire import send, unpacked


def main() -> None:
    """Put stdout aside, where only arrays may go, and encode until nobody asks any more."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    folder, system_prompt = orjson.loads(sys.stdin.buffer.readline())
    encoder = Encoder(Path(folder), system_prompt)
    try:
        for line in sys.stdin.buffer:
            send(encoder.block(unpacked(line)), out)
    except BrokenPipeError:
        os._exit(0)  # nobody listens any more


if __name__ == "__main__":
    main()
