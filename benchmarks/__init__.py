"""Benchmarks of Greenroom against what people would use without it: `python -m benchmarks`."""
