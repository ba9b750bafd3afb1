"""Messages to text, to token ids, to labels: the one place where a prompt is built."""
