"""One session's life: its actor, its clone, its browser, and the verdict on its page."""
