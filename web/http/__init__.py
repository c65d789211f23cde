"""The HTTP front: a server, its limits, and the app that it serves."""
