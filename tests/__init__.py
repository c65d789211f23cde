"""Greenroom's tests: they mirror the layers; `real` holds what needs all of them at once."""
