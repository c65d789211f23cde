"""A machine, and what it knows of its processes."""
