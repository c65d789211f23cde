"""Tests of what the daemon counts and measures."""
