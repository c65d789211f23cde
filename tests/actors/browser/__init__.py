"""Tests of browsers: their hosts, their cells, and the protocol with them."""
