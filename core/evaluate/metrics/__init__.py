"""What an answer is worth: right or not, overlap with the expected one, form, and the figures of tutorials. No torch here."""

from core.evaluate.metrics.check import Check, detect, is_exact, is_right, validate
from core.evaluate.metrics.overlap import Corpus, corpus
from core.evaluate.metrics.table import METRICS, Metric, grade, signatures

__all__ = [
    "METRICS",
    "Check",
    "Corpus",
    "Metric",
    "corpus",
    "detect",
    "grade",
    "is_exact",
    "is_right",
    "signatures",
    "validate",
]
