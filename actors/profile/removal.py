"""Removes a directory, whatever a browser, or anything that ran in it, left there.

A page can decide what its session's files look like, so nothing is taken for granted. The removal goes from
directory to directory by descriptor: that works for paths longer than the kernel accepts, follows no symlink
that takes a directory's place, needs at most four open descriptors at any depth, and does not recurse.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import trio

from greenroom.actors.errors import CloneFailed
from greenroom.actors.threads import Work, finish_in_thread

# A killed browser is gone within milliseconds; the retries are for one that still writes while it dies.
_ATTEMPTS = 20
_PAUSE_S = 0.05

# Removing 1 GB takes a fraction of a second; this is for a disk that hangs.
_IN_TIME_S = 30

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

_Identity = tuple[int, int]


async def remove_in_time(path: Path) -> None:
    """Remove `path`, cancelled or not. A removal that hangs for 30 s is left to its thread.

    Raises `CloneFailed` when something is left, or may be.
    """
    try:
        await finish_in_thread(Work.REMOVAL, remove_tree, path, within_s=_IN_TIME_S)
    except trio.TooSlowError:
        raise CloneFailed("The clone could not be removed in time", detail=repr(str(path))) from None


def remove_tree(path: Path) -> None:
    """Remove `path` and everything in it; retries for a second before giving up. Blocks.

    Files that appear meanwhile are removed too, and directories get missing permissions first. Symlinks are
    removed, never followed. A path that does not exist is fine.

    Raises `CloneFailed` when something is left after the last attempt.
    """
    removal = _Removal()
    for attempts_left in reversed(range(_ATTEMPTS)):
        removal = _Removal()
        removal.remove(path)
        if is_gone(path):
            return
        if attempts_left:
            time.sleep(_PAUSE_S)
    raise CloneFailed("The clone could not be removed", detail=f"{str(path)!r}: {removal.problem}")


def is_gone(path: Path) -> bool:
    """Return whether nothing is at `path`; False if that can't be determined. Blocks."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


@attrs.frozen
class _Level:
    """A directory on the way down: its name, its identity, and the subdirectories still to be removed."""

    name: str
    identity: _Identity
    below: list[str]


@attrs.define(eq=False)
class _Removal:
    """One attempt; `problem` is the first error, if there was one."""

    problem: OSError | None = None

    def remove(self, path: Path) -> None:
        with self._noting_problem():
            parent = os.open(path.parent, _HANDLE)
            try:
                if stat.S_ISDIR(os.lstat(path.name, dir_fd=parent).st_mode):
                    self._empty(path.name, parent)
                    os.rmdir(path.name, dir_fd=parent)
                else:
                    os.unlink(path.name, dir_fd=parent)
            finally:
                os.close(parent)

    def _empty(self, name: str, parent: int) -> None:
        """Remove everything in a directory, depth first."""
        here = _open(name, parent)
        try:
            levels = [self._strip(here, name)]
            while True:
                if levels[-1].below:
                    inner = levels[-1].below.pop()
                    with self._noting_problem():
                        here = _replace(here, _open(inner, here))
                        levels.append(self._strip(here, inner))
                elif len(levels) > 1:
                    emptied = levels.pop()
                    here = _replace(here, os.open("..", _DIRECTORY, dir_fd=here))
                    # If the directory was moved, ".." leads elsewhere, to files that are not ours to remove.
                    if levels[-1].identity != _identity(here):
                        raise OSError(
                            errno.ESTALE, "A directory was moved while it was removed", emptied.name
                        )
                    with self._noting_problem():
                        os.rmdir(emptied.name, dir_fd=here)
                else:
                    return
        finally:
            os.close(here)

    def _strip(self, directory: int, name: str) -> _Level:
        """Remove everything in a directory except its subdirectories."""
        level = _Level(name, _identity(directory), [])
        with self._noting_problem():
            # Read to the end first: readdir(3) does not say what it returns after entries are removed.
            with os.scandir(directory) as listing:
                entries = list(listing)
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    level.below.append(entry.name)
                else:
                    with self._noting_problem():
                        os.unlink(entry.name, dir_fd=directory)
        return level

    @contextlib.contextmanager
    def _noting_problem(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            pass  # already gone
        except OSError as exc:
            self.problem = self.problem or exc


def _open(name: str, parent: int) -> int:
    """Open a directory, with the permissions that its owner needs to empty it."""
    try:
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        _grant(name, parent)
        return os.open(name, _DIRECTORY, dir_fd=parent)
    if os.fstat(directory).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        with contextlib.suppress(OSError):  # if it matters, removing the entries fails and is noted
            os.fchmod(directory, stat.S_IRWXU)
    return directory


def _grant(name: str, parent: int) -> None:
    """Set 0700 on a directory; refuse a symlink to one, which chmod(2) would follow."""
    handle = os.open(name, _HANDLE | os.O_NOFOLLOW, dir_fd=parent)
    try:
        # Only O_PATH opens a directory that its owner may not read, and fchmod(2) rejects such a descriptor.
        Path(f"/proc/self/fd/{handle}").chmod(stat.S_IRWXU)
    finally:
        os.close(handle)


def _replace(old: int, new: int) -> int:
    os.close(old)
    return new


def _identity(directory: int) -> _Identity:
    """Return what is equal for two descriptors of one directory, and differs for two directories."""
    status = os.fstat(directory)
    return status.st_dev, status.st_ino
