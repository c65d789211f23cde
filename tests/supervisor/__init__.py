"""Tests of who lives and who dies."""
