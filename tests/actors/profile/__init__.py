"""Tests of master profiles and their clones."""
