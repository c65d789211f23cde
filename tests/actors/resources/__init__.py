"""Tests of what sessions use of the machine."""
