"""Removing a directory, whatever a browser, or what ran in it, left there.

A page decides what its session's files look like, so nothing is taken for granted: the way down and back up
goes from each directory to the next by descriptor, which holds for paths longer than the kernel takes, with
no more than four descriptors open at any depth, and without recursion.
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

from actors.errors import CloneFailed
from actors.threads import Purpose, finish_in_thread

# A killed browser is gone within milliseconds; this is for one that still writes while it dies.
_ATTEMPTS = 20
_PAUSE_S = 0.05

# Removing 1 GB takes a fraction of a second; this is for a disk that hangs.
_IN_TIME_S = 30

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

_Identity = tuple[int, int]


async def remove_in_time(path: Path) -> None:
    """Remove what is at `path`, cancelled or not. A removal that hangs is left to its thread after 30 s.

    Raises `CloneFailed` when something is, or may be, left.
    """
    try:
        await finish_in_thread(Purpose.REMOVAL, remove_tree, path, within_s=_IN_TIME_S)
    except trio.TooSlowError:
        raise CloneFailed("The clone could not be removed in time", detail=repr(str(path))) from None


def remove_tree(path: Path) -> None:
    """Remove what is at `path`, and all in it; retries for a second before giving up. Blocks.

    Files that appear meanwhile are removed too; directories without permissions are given them first.
    Symlinks are removed, never followed. What is gone already is fine.

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
    """Tell whether nothing is at `path`; where that can't be seen, something may be. Blocks."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


@attrs.frozen
class _Level:
    """A directory on the way down: which one it is, and the directories in it that are still to go."""

    name: str
    identity: _Identity
    below: list[str]


@attrs.define(eq=False)
class _Removal:
    """One attempt; `problem` is what first stood in its way."""

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
        """Remove all that is in a directory, depth first."""
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
        """Remove what is in a directory but for further directories."""
        level = _Level(name, _identity(directory), [])
        with self._noting_problem():
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
            pass  # it is gone
        except OSError as exc:
            self.problem = self.problem or exc


def _open(name: str, parent: int) -> int:
    """Open a directory, after giving its owner the permissions to empty it."""
    try:
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        _grant(name, parent)
        return os.open(name, _DIRECTORY, dir_fd=parent)
    if os.fstat(directory).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        with contextlib.suppress(OSError):  # what is missing then shows
            os.fchmod(directory, stat.S_IRWXU)
    return directory


def _grant(name: str, parent: int) -> None:
    """Set 0700 on a directory, and refuse a symlink to one, which chmod(2) would follow."""
    handle = os.open(name, _HANDLE | os.O_NOFOLLOW, dir_fd=parent)
    try:
        # Only O_PATH opens what its owner may not read, and fchmod(2) takes no such descriptor.
        Path(f"/proc/self/fd/{handle}").chmod(stat.S_IRWXU)
    finally:
        os.close(handle)


def _replace(old: int, new: int) -> int:
    os.close(old)
    return new


def _identity(directory: int) -> _Identity:
    """Tell two descriptors of one directory from two directories."""
    status = os.fstat(directory)
    return status.st_dev, status.st_ino
