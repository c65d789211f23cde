"""Whatever dies, nothing is left behind: a matrix of deaths on the real browser. Run `make chaos`."""
