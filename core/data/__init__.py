"""Data sets: the registry, reading files, converting rows into conversations, and checking them."""
