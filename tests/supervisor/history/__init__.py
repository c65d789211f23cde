"""Tests of the history of ended sessions."""
