"""The checks of `greenroom doctor`, one module for each place where a session can fail."""

from greenroom.web.checks.finding import INSTALL, Finding, Level

__all__ = ["INSTALL", "Finding", "Level"]
