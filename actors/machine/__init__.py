"""A machine: what gives sessions their workspaces, here or, behind the same protocol, elsewhere."""
