"""What can be done in a live session's pages and read of them, as plain data."""
