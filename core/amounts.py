"""Amounts as a person reads them: weights of a model, bytes of a file."""


def weights(count: int) -> str:
    """Return "8.0 B" for billions, "4.9 M" for millions of weights."""
    return f"{count / 1e9:.1f} B" if count >= 1e9 else f"{count / 1e6:.1f} M"


def bytes_of(count: float) -> str:
    """Return "3.2 GB", "340 MB" or "12 kB", in thousands as disks are sold."""
    if count >= 999_500_000:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 999_500 else f"{count / 1e3:.0f} kB"
