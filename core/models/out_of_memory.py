"""Memory that ran out: how to tell it from other errors, and how to get back what the attempt has taken."""

import gc

import torch

_SAID = (
    *("out of memory", "can't allocate memory", "not enough memory", "cublas_status_alloc_failed", "bad_alloc"),
    *("could not create a primitive", "could not execute a primitive", "could not create a memory"),  # oneDNN
)


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error means that the device, or the machine, had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SAID)


def free_memory() -> None:
    """Give back what a failed attempt has left behind. Call it outside of the handler: the error holds on to all of it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
