"""Tests of machines and workspaces."""
