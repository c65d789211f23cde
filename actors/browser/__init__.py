"""Browsers out of process: what the daemon says to a browser host, and the host itself."""
