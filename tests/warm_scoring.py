"""Imported by the process that workers are forked from: what a scoring loads once a process is loaded before they are."""

from core.evaluate.metrics import grade
from core.evaluate.metrics.check import Check

grade(Check("exact"), "你好，世界 one two three four", "你好，世界 one two three four")
