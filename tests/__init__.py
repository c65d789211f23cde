"""Greenroom's tests. The folders mirror the layers; `real` holds tests that need all of them at once."""
