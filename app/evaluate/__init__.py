"""The parts of the Evaluate tab."""
