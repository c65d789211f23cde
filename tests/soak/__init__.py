"""Thousands of sessions with random faults, and a count of what they leave behind. Run by `make soak`."""
