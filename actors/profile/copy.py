"""Copies a profile's files: private to their owner, independent of the original, stoppable at any moment.

One thread copies one file after the other. `copy_file_range` keeps the data in the kernel, so the disk is the
limit and not Python; more threads would gain too little to justify the complexity.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from greenroom.actors.errors import ProfileUnusable
from greenroom.actors.profile.translate import reading_master, writing_clone

GENERATION_FILE = "greenroom-generation.json"
LOCK_NAMES = frozenset({"lock", ".parentlock", "parent.lock"})

# Top-level names of what costs time to copy and is of no use. `startupCache` is not one of them: it makes a
# launch 1 s faster.
DISPENSABLE: Final = (
    "cache2",  # the HTTP cache: large, and refilled on demand
    "minidumps",  # crash dumps, like the next two: they hold memory contents, and sessions don't need them
    "crashes",
    "Crash Reports",
)

# Never cloned: marks left by a browser that has the master open, and that of a generation.
MARKS: Final = LOCK_NAMES | {GENERATION_FILE}
NOT_CLONED: Final = MARKS | set(DISPENSABLE)

# Cancellation is checked between chunks. 1 MiB takes under 1 ms in memory and 50 ms on a disk that writes
# 20 MB/s; larger chunks were measured, and are not faster.
_CHUNK_BYTES = 1 << 20

# Firefox nests some ten levels; Python's recursion limit is 1000.
MAX_DEPTH = 100

# The errors by which copy_file_range(2) refuses a pair of files: other filesystem, unsupported, forbidden.
_NOT_IN_KERNEL = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})

_SPECIAL_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device file",
    stat.S_IFBLK: "a device file",
}

_Identity = tuple[int, int]


@attrs.define(eq=False)
class Progress:
    """How far a copy has got: the current file, its bytes copied so far, and its size."""

    file: Path | None = None
    copied_bytes: int = 0
    of_bytes: int = 0


def copy_profile(
    master: Path, clone: Path, progress: Progress, leave_out: frozenset[str] = NOT_CLONED
) -> None:
    """Copy `master`, except the names to `leave_out`, into the existing empty directory `clone`.

    Symlinks are followed, so that nothing in the clone leads out of it. Broken symlinks are left out, and so
    are sockets, which are dead without their process. Files keep their holes, and their mtime, by which
    Firefox judges its caches. The owner may read and write each file, and execute it if he could before;
    group and others get nothing. Directories get 0700. A file that grows meanwhile is copied up to its first
    size. `progress` shows other threads where the copy is.

    Must run in a thread of `trio.to_thread.run_sync`. If that call is cancelled, it raises `trio.Cancelled`
    within one file or chunk. Whatever has been copied stays, also after an error; the caller removes it.

    Raises `ProfileUnusable` when the master can't be read or holds anything but files and directories, and
    `CloneFailed` when the clone can't be written.
    """
    with reading_master(master):
        # The clone too: a link in the master may lead to it, and the copy would then copy itself.
        above = (_identity(clone.stat()), _identity(master.stat()))
    _copy_directory(master, clone, progress, above=above, leave_out=leave_out)


def _copy_directory(
    source: Path,
    target: Path,
    progress: Progress,
    *,
    above: tuple[_Identity, ...],
    leave_out: frozenset[str] = frozenset(),
) -> None:
    """Copy the entries of `source`; a directory that is one of those `above` it is a symlink loop."""
    # A list, so that the recursion does not keep a descriptor open for each level.
    with reading_master(source), os.scandir(source) as listing:
        entries = [entry for entry in listing if entry.name not in leave_out]
    for entry in entries:
        trio.from_thread.check_cancelled()
        status = _status(entry)
        if status is None or stat.S_ISSOCK(status.st_mode):
            continue
        if stat.S_ISREG(status.st_mode):
            _copy_file(source / entry.name, target / entry.name, progress)
        elif stat.S_ISDIR(status.st_mode):
            inner = target / entry.name
            below = (*above, _identity(status))
            if _identity(status) in above:
                raise ProfileUnusable("The master profile contains a symlink loop", detail=repr(entry.path))
            if len(below) > MAX_DEPTH:
                raise ProfileUnusable("The master profile is nested too deeply", detail=repr(entry.path))
            with writing_clone(inner):
                inner.mkdir(0o700)
            _copy_directory(source / entry.name, inner, progress, above=below)
        else:
            kind = _SPECIAL_KINDS.get(stat.S_IFMT(status.st_mode), "a special file")
            raise ProfileUnusable(f"The master profile contains {kind}", detail=repr(entry.path))


def _copy_file(source: Path, target: Path, progress: Progress) -> None:
    """Copy one regular file: its bytes, its mtime and its owner's permissions, made readable and writable."""
    progress.file, progress.copied_bytes, progress.of_bytes = source, 0, 0
    create = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with reading_master(source), _opened(source, os.O_RDONLY) as reader:
        status = os.fstat(reader)
        progress.of_bytes = status.st_size
        mode = status.st_mode & stat.S_IRWXU | stat.S_IRUSR | stat.S_IWUSR
        with writing_clone(target), _opened(target, create, mode) as writer:
            for start, end in _data(reader, status.st_size):
                _copy_bytes(source, reader, writer, start, end, progress)
            with reading_master(source):
                size_now = os.fstat(reader).st_size
            # A hole at the end is no data, so nothing above has given the copy its full size.
            os.truncate(writer, min(status.st_size, size_now))
            os.utime(writer, ns=(status.st_atime_ns, status.st_mtime_ns))


def _data(reader: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a file, up to `size`, that hold data rather than holes."""
    end = 0
    while end < size:
        try:
            start = os.lseek(reader, end, os.SEEK_DATA)
            end = os.lseek(reader, start, os.SEEK_HOLE)
        except OSError as exc:
            if exc.errno != errno.ENXIO:  # ENXIO: there is only a hole from here on
                yield end, size
            return
        if start < size:
            yield start, min(end, size)


def _copy_bytes(source: Path, reader: int, writer: int, start: int, end: int, progress: Progress) -> None:
    """Copy from `start` to `end`: in the kernel, sharing blocks if the filesystem can; the rest by hand."""
    at = start
    try:
        while at < end and (
            copied := os.copy_file_range(reader, writer, min(end - at, _CHUNK_BYTES), at, at)
        ):
            at += copied
            progress.copied_bytes = at
            trio.from_thread.check_cancelled()
    except OSError as exc:
        if exc.errno not in _NOT_IN_KERNEL:
            raise
    while at < end:
        with reading_master(source):
            chunk = os.pread(reader, min(end - at, _CHUNK_BYTES), at)
        if not chunk:
            break
        while chunk:
            written = os.pwrite(writer, chunk, at)
            at, chunk = at + written, chunk[written:]
        progress.copied_bytes = at
        trio.from_thread.check_cancelled()


@contextmanager
def _opened(path: Path, flags: int, mode: int = 0) -> Iterator[int]:
    """Own a descriptor for the block's length."""
    fd = os.open(path, flags | os.O_CLOEXEC, mode)
    try:
        yield fd
    finally:
        os.close(fd)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return the status of `entry`, every symlink followed, or None if they lead nowhere."""
    with reading_master(Path(entry.path)):
        try:
            return entry.stat()
        except (FileNotFoundError, NotADirectoryError):
            if entry.is_symlink():
                return None
            raise


def _identity(status: os.stat_result) -> _Identity:
    """Return what is equal for two paths of one directory, and differs for two directories."""
    return status.st_dev, status.st_ino
