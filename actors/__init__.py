"""One session's life: its actor, the clone it owns, the browser it owns, the verdict on its page."""
