"""The Data page in pieces: adding, and a file for each section of the chosen set."""
