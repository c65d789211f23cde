"""What the daemon and a browser host say to each other.

A host runs these files, so they import neither Trio nor structlog.
"""
