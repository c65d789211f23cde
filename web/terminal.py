"""Text from elsewhere, made fit for a terminal: it can't move the cursor, or hide what else is there."""

from typing import Final

MAX_CHARS: Final = 4096
"""As much as there is in one line: a path may be as long."""


def one_line(text: str) -> str:
    """Return a text as one line."""
    return _without_controls(text[:MAX_CHARS])


def lines(text: str) -> str:
    """Return a text with its line breaks, however long it is."""
    return "\n".join(map(_without_controls, text.split("\n")))


def _without_controls(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
