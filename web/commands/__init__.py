"""What `greenroom` does, a module for each command."""
