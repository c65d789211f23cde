"""Tests of one session's actor."""
