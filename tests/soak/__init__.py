"""Runs thousands of sessions with random faults and counts what they leave behind: `make soak`."""
