"""Evaluation: base and tuned model answer the same questions, and the answers are scored."""
