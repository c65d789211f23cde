"""Greenroom's figures beside those of what people would use without it: `python -m benchmarks`."""
