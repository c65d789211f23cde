"""Tests of the daemon's client for Python."""
