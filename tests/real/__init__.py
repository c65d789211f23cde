"""The README's promises, tested on a real browser."""
