"""Tests of the tools for the Model Context Protocol."""
