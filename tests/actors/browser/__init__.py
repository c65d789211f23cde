"""Tests of browsers: their hosts, cells, and the conversation with them."""
