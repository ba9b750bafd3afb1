"""The run directory: where the interface and the engine meet."""
