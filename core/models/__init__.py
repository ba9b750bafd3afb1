"""Base models: finding and checking a folder, and loading it."""
