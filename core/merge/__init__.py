"""Merge: the adapter is written into the weights, and the result is proved to be the same model."""
