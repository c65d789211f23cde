"""Tests of the HTTP front and the command line."""
