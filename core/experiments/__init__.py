"""Several runs that answer one question: which of two ways is better, which step, which settings. No torch here."""
