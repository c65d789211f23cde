"""HTTP in, supervisor messages out; and the `greenroom` command."""
