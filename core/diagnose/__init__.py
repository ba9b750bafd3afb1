"""Diagnosis: what the numbers of a run say went wrong, why that is likely, and what the next run should change."""
