"""Training: what a run will do (plan), its directory (prepare), the loop (trainer) and the process (worker)."""
