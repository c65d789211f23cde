"""The login verdict: evidence on pages, and what follows from it."""
