"""What every evaluation asks besides its test sets: who are you, what can you still do; and was it asked as trained."""
