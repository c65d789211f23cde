"""Nothing is left behind, whatever dies: a matrix of deaths with a real browser. Run `make chaos`."""
