"""Removing a clone, whatever a browser, or what ran in it, left there."""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from actors.errors import CloneFailed

# A killed browser is gone within milliseconds; this is for one that still writes while it dies.
_ATTEMPTS = 20
_PAUSE_S = 0.05


def remove_clone(clone: Path) -> None:
    """Remove the directory `clone` and all in it; retries for a second before giving up. Blocks.

    Files that appear meanwhile are removed too; directories without permissions are given them first.
    Symlinks are removed, never followed. A clone that is gone already is fine.

    Raises `CloneFailed` when something is left after the last attempt.
    """
    problem: Exception | None = None
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            shutil.rmtree(clone)
        except (OSError, RecursionError) as exc:
            problem = exc
        if not os.path.lexists(clone):
            return
        if isinstance(problem, PermissionError):
            _grant_permissions(clone)
        if attempts_left:
            time.sleep(_PAUSE_S)
    raise CloneFailed("The clone could not be removed", detail=f"{str(clone)!r}: {problem}") from problem


def _grant_permissions(clone: Path) -> None:
    """Give the owner all permissions on every directory of `clone`, as far as possible."""
    with suppress(OSError, RecursionError):
        _grant(clone)
        for _, names, _, parent in os.fwalk(clone):
            for name in names:
                with suppress(OSError):
                    _grant(name, parent=parent)


def _grant(name: Path | str, *, parent: int | None = None) -> None:
    """Set 0700 on a directory, and refuse a symlink to one, which chmod(2) would follow."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
    try:
        # Only O_PATH opens what its owner may not read, and fchmod(2) takes no such descriptor.
        Path(f"/proc/self/fd/{fd}").chmod(0o700)
    finally:
        os.close(fd)
