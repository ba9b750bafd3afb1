"""Data sets as token ids: tokenised once for each content, model and system prompt, by all cores, and kept on the disk."""
