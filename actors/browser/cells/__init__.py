"""Cells: what browsers and their hosts see of the machine, and that each dies as a whole."""
