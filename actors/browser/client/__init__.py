"""The daemon's side of a browser host."""
