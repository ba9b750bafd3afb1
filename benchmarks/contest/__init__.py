"""The contenders of `benchmarks/training.py` and what they share: one task, one stopwatch, one held-out loss."""
