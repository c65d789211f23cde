"""The filtered way of a client's own Playwright to its session."""
