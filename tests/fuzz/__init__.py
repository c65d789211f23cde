"""Hostile pages, to test the login verdict's bounds."""
