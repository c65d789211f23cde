"""Puts a directory in its place in one step: renameat2(2) with its flags, which Python does not offer."""

import contextlib
import ctypes
import errno
import os
import tempfile
from pathlib import Path
from typing import Final

# From fcntl.h and linux/fs.h.
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2

UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})
"""The errors of a filesystem that can't do what is asked here."""

_libc = ctypes.CDLL(None, use_errno=True)


def exchange(one: Path, other: Path) -> None:
    """Let two directories take each other's place, at one moment for all who look. Raises `OSError`."""
    _rename(one, other, _RENAME_EXCHANGE)


def rename_to_new(one: Path, other: Path) -> None:
    """Rename `one` to `other`, which must not exist: an empty directory is not replaced either.

    Raises `FileExistsError`, and other `OSError`.
    """
    _rename(one, other, _RENAME_NOREPLACE)


def _rename(one: Path, other: Path, flags: int) -> None:
    paths = os.fsencode(one), os.fsencode(other)
    if _libc.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(one), None, str(other))


def exchange_problem(directory: Path) -> str | None:
    """Return why `directory` could not be exchanged with one beside it; None if it could.

    The text is a clause that continues after the directory's name. Tries it with empty directories.
    """
    if os.path.ismount(directory):
        return "is a mount point, which can't be replaced: name a directory below it"
    try:
        with tempfile.TemporaryDirectory(prefix=".greenroom-", dir=directory.parent) as place:
            one, other = Path(place, "one"), Path(place, "other")
            one.mkdir()
            other.mkdir()
            exchange(one, other)
    except OSError as exc:
        if exc.errno in UNSUPPORTED:
            return "is on a filesystem that can't exchange directories: move it to a disk of this machine"
        return f"is in a directory that can't be written: {exc.strerror}"
    return None


def sync_directory(directory: Path) -> None:
    """Make what was renamed in a directory last over a loss of power. Raises `OSError`."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        os.fsync(descriptor)


def sync_tree(top: Path) -> None:
    """Make a directory and everything in it last over a loss of power. Raises `OSError`."""
    for folder, _, files in os.walk(top):
        for path in (Path(folder, name) for name in files):
            if path.is_symlink():  # it is part of its directory
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(folder))
