"""Checks whether a browser uses a profile, without touching it.

Firefox marks a profile as in use in two ways (`nsProfileLock` in toolkit/profile/nsProfileLock.cpp): an fcntl
write lock over the whole of `.parentlock`, and a symlink `lock`. Both files stay behind when Firefox is gone.
Only the fcntl lock ends with its process, so only the lock can be trusted.
"""

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import psutil

from greenroom.actors.errors import ProfileLocked
from greenroom.actors.lifecycle import ProfileHolder

LOCK_FILE = ".parentlock"

# `struct flock` of fcntl(2) on 64-bit Linux: short l_type, l_whence; off_t l_start, l_len; pid_t l_pid.
# Native mode pads between the fields as C does; "0q" pads the end.
_FLOCK = struct.Struct("@hhqqi0q")
# The question that Firefox asks before it takes the lock: could I write-lock all of the file?
_WHOLE_FILE = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def find_browser(profile: Path) -> ProfileHolder | None:
    """Return the process that holds Firefox's lock on `profile`; takes microseconds, writes nothing.

    A profile that does not exist or has no lock file is not locked. Never call it in a process that holds the
    lock: it does not see its own lock, and loses it (closing any descriptor of a file ends the process's
    fcntl locks on it). Raises `OSError` when the lock file can't be opened.
    """
    try:
        # O_NONBLOCK: opening a FIFO of that name must not wait for its writer.
        fd = os.open(profile / LOCK_FILE, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        answer = fcntl.fcntl(fd, fcntl.F_GETLK, _WHOLE_FILE)
    finally:
        os.close(fd)
    lock_type, *_, pid = _FLOCK.unpack(answer)
    if lock_type == fcntl.F_UNLCK:
        return None
    return ProfileHolder(program=_program_of(pid), pid=pid)


def refuse_browser(profile: Path) -> None:
    """Raise `ProfileLocked` if a browser has `profile` open."""
    if (browser := find_browser(profile)) is not None:
        raise ProfileLocked(holder=browser)


@contextlib.contextmanager
def keep_browsers_out(profile: Path) -> Iterator[None]:
    """Hold Firefox's lock on `profile` during the block, if the profile was ever used.

    Raises `ProfileLocked` if a browser has it, and `OSError`.
    """
    try:
        descriptor = os.open(profile / LOCK_FILE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        # A lock of the open file, not of the process: `find_browser` in another thread would end the latter.
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE_FILE)
        except BlockingIOError:
            raise ProfileLocked(holder=find_browser(profile)) from None
        yield
    finally:
        os.close(descriptor)


def _program_of(pid: int) -> str:
    """Return the name of a process; that of a browser elsewhere, as in a container, can't be known."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        return psutil.Process(pid).name()
    return "a browser"


def last_opened_ns(profile: Path) -> int:
    """Return when a browser last opened `profile`, in nanoseconds since the epoch; 0 if none ever did.

    Firefox truncates the lock file each time it starts, which sets its mtime. So this number shows even a
    browser that came and went between two checks. Raises `OSError` when the profile can't be read.
    """
    try:
        return (profile / LOCK_FILE).stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0
