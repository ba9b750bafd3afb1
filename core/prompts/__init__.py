"""System prompts as named, versioned data."""
