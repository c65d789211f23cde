"""Where commands print to: fitted to a terminal, whole and plain anywhere else."""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator
from typing import Final, TextIO

from rich.console import Console

WIDE: Final = 100_000
"""The width without a terminal, in columns: wide enough that no line breaks."""

EXIT_NO_READER: Final = 128 + signal.SIGPIPE
EXIT_NO_OUTPUT: Final = os.EX_IOERR


def make_console(file: TextIO) -> Console:
    """Return a console on `file`. Unless that is a terminal, lines are whole, without colours and padding.

    On a terminal, `NO_COLOR` turns colours off.
    """
    if file.isatty():
        return Console(file=file)
    return Console(file=_Trimmed(file), width=WIDE, force_terminal=False, color_system=None)  # type: ignore[arg-type]


class _Trimmed:
    """A text file that leaves out spaces at the ends of lines, with which tables are padded.

    If it can't be written to, the command ends. If nobody reads any more, it ends with the code of a program
    killed by SIGPIPE, otherwise with a message. Rich would end it with 1, which `greenroom verdict` uses for
    a verdict.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._held = ""
        self.encoding = file.encoding

    def write(self, text: str) -> int:
        """Write `text` without the spaces at the ends of lines."""
        whole = re.sub(r" +\n", "\n", self._held + text)
        kept = whole.rstrip(" ")
        self._held = whole[len(kept) :]
        with self._ending_if_it_fails():
            self._file.write(kept)
        return len(text)

    def flush(self) -> None:
        """Flush the file."""
        with self._ending_if_it_fails():
            self._file.flush()

    @contextlib.contextmanager
    def _ending_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            if not isinstance(exc, BrokenPipeError):
                print(f"greenroom: Can't print: {exc.strerror}", file=sys.stderr)
            with contextlib.suppress(OSError):  # what is still buffered is not written once more at the end
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())
            sys.exit(EXIT_NO_READER if isinstance(exc, BrokenPipeError) else EXIT_NO_OUTPUT)

    def fileno(self) -> int:
        """Return the file's descriptor."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """Return False: this is not a terminal."""
        return False
