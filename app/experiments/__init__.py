"""Experiments on the Evaluate tab: plan one from a run, follow it, read what came out, take its settings along."""
