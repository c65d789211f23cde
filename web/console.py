"""Where commands print to: fitted to a terminal, whole and plain anywhere else."""

import re
from typing import Final, TextIO

from rich.console import Console

WIDE: Final = 100_000
"""The width, in columns, of what is no terminal: no line is ever broken there."""


def make_console(file: TextIO) -> Console:
    """Return a console on `file`: lines go out whole, without colours and padding, where it is no terminal.

    `NO_COLOR` is heeded by a terminal's.
    """
    if file.isatty():
        return Console(file=file)
    return Console(file=_Trimmed(file), width=WIDE, force_terminal=False, color_system=None)  # type: ignore[arg-type]


class _Trimmed:
    """A text file that leaves out spaces at the ends of lines: tables are padded with them."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._held = ""
        self.encoding = file.encoding

    def write(self, text: str) -> int:
        """Write `text`, but for spaces that a line may end with."""
        whole = re.sub(r" +\n", "\n", self._held + text)
        kept = whole.rstrip(" ")
        self._held = whole[len(kept) :]
        self._file.write(kept)
        return len(text)

    def flush(self) -> None:
        """Write out what was written."""
        self._file.flush()

    def fileno(self) -> int:
        """Return the file's descriptor."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """Tell that this is no terminal."""
        return False
