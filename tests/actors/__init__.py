"""Tests of one session's life."""
