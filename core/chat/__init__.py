"""Chat: a worker process that holds a model and answers, and the session that talks to it."""
