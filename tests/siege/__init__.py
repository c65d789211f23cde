"""Besieges a daemon with clients that are many, slow, large or gone: `make fuzz`; shorter in the tests."""
