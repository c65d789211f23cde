"""Pages as hostile as can be made, against the login verdict's bounds."""
