"""The program that a driver executes in place of a browser that has its own cell."""

import os
import shlex
from collections.abc import Sequence

# Camoufox's package writes such a file to its cache, for the fonts in its bundle.
_FONTS_FILE = '${FONTCONFIG_FILE:+--ro-bind-try "$FONTCONFIG_FILE" "$FONTCONFIG_FILE"}'


def open_launcher(cell: Sequence[str], executable: str) -> int:
    """Return the descriptor of a program that runs `executable` in a cell, and passes its arguments on.

    The program is in memory, so the directories of clones and temporary files can be mounted noexec.
    """
    script = (
        f'#!/bin/sh\nexec {shlex.join(cell)} {_FONTS_FILE} --remount-ro / -- {shlex.quote(executable)} "$@"\n'
    )
    descriptor = os.memfd_create("browser")
    try:
        os.write(descriptor, os.fsencode(script))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def path_of(descriptor: int) -> str:
    """Return the path of an open descriptor, for this process's children."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"
