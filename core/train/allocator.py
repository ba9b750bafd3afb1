"""How the C library keeps memory that a step has freed.

By default glibc gives every large block back to the system at once and asks for it again a moment later: each page of each
activation is then mapped and zeroed anew in every step.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST = 32 << 20  # bytes; glibc takes no more
_KEPT = 1 << 30  # bytes at the end of the heap that stay with the process


def keep_freed_memory() -> None:
    """Let blocks of up to 32 MB come from the heap and stay there. Does nothing but on Linux with glibc."""
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
