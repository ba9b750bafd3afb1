"""The parts of the Runs tab: list, comparison, the chosen run, notes, trash, bundles."""
