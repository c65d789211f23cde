"""What a driver executes in a browser's place where that has a cell of its own."""

import os
import shlex
from collections.abc import Sequence

# Camoufox's package writes one to its cache, for the fonts of its bundle.
_FONTS_FILE = '${FONTCONFIG_FILE:+--ro-bind-try "$FONTCONFIG_FILE" "$FONTCONFIG_FILE"}'


def open_launcher(cell: Sequence[str], executable: str) -> int:
    """Return the descriptor of a program that runs `executable` in a cell, with the arguments it is given.

    It lies in memory: nothing need be executable where clones and temporary files are.
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
    """Return where this process's children find what it has open."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"
