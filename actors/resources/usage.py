"""What a session uses, as the kernel counts it, and how much it may use.

A page can decide what its session's profile looks like on disk, so the walk takes nothing for granted. It
goes from directory to directory by descriptor, which works for paths longer than the kernel accepts, keeps at
most four descriptors open at any depth, and stops counting far beyond the size of any normal profile.
"""

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs

MAX_FILES: Final = 200_000
"""How many files and directories of a session are counted; this takes 0.7 s. A fresh profile has 100."""

# The unit of st_blocks in stat(2), whatever the filesystem's own block size is.
_BLOCK_BYTES = 512
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_UNITS = (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10))

_Identity = tuple[int, int]


@attrs.frozen(kw_only=True)
class Usage:
    """What a session used at one moment.

    `memory_bytes` is the sum of the processes' proportional shares of memory (PSS), so a page that several of
    them map counts once. `disk_bytes` is what is allocated on disk. `files` counts names, directories
    included. Above `MAX_FILES`, `disk_bytes` has only the part that was counted until then.
    """

    memory_bytes: int
    processes: int
    disk_bytes: int
    files: int = 0

    def max_with(self, other: "Usage") -> "Usage":
        """Return the higher one of each figure."""
        return Usage(
            memory_bytes=max(self.memory_bytes, other.memory_bytes),
            processes=max(self.processes, other.processes),
            disk_bytes=max(self.disk_bytes, other.disk_bytes),
            files=max(self.files, other.files),
        )


def _at_least_one(_instance: object, attribute: "attrs.Attribute[int]", value: object) -> None:
    if type(value) is not int or value <= 0:
        raise ValueError(f"{attribute.name} is {value!r}, must be a whole number above 0")


@attrs.frozen(kw_only=True)
class Budget:
    """What a session may use. Raises `ValueError` unless each of the three is a whole number above 0."""

    memory_bytes: int = attrs.field(validator=_at_least_one)
    processes: int = attrs.field(validator=_at_least_one)
    disk_bytes: int = attrs.field(validator=_at_least_one)

    def breach(self, usage: Usage, who: str = "session") -> str | None:
        """Return a sentence, fit for a client, about the first limit that `usage` exceeds, or None.

        `who` is its subject. Using up a budget is fine. More than `MAX_FILES` files exceed any budget, since
        their size is unknown.
        """
        if usage.memory_bytes > self.memory_bytes:
            return _over(who, "memory", usage.memory_bytes, self.memory_bytes)
        if usage.processes > self.processes:
            return f"The {who} has {usage.processes:,} processes, its budget is {self.processes:,}"
        if usage.disk_bytes > self.disk_bytes:
            return _over(who, "disk space", usage.disk_bytes, self.disk_bytes)
        if usage.files > MAX_FILES:
            return f"The {who} has more than {MAX_FILES:,} files, its budget is {MAX_FILES:,}"
        return None


def _over(who: str, what: str, used: int, budget: int) -> str:
    return f"The {who} uses {in_words(used, up=True)} of {what}, its budget is {in_words(budget)}"


def in_words(size: int, *, up: bool = False) -> str:
    """Return a number of bytes for people, to one decimal; a GB is 1024 MB.

    Rounds down or, with `up`, up. So a larger number rounded up never looks the same as a smaller one rounded
    down.
    """
    for unit, unit_bytes in _UNITS:
        if size >= unit_bytes:
            tenths = -(-size * 10 // unit_bytes) if up else size * 10 // unit_bytes
            return f"{tenths // 10:,}.{tenths % 10} {unit}"
    return f"{size} bytes"


def measure(pids: Iterable[int], directories: Iterable[Path]) -> Usage:
    """Return what these processes and directories use together, each counted once. Blocks.

    Never raises `OSError`. Processes that are gone don't count. A process that doesn't show its PSS, such as
    another user's, counts with its RSS. Directories are measured as by `disk_usage`. Takes about 30 ms for a
    session on Firefox, 8 of them for its largest process and 1 for its profile, and 0.7 s at `MAX_FILES`.
    """
    memory = [found for pid in set(pids) if (found := _memory_bytes(pid)) is not None]
    tally = _Tally()
    for directory in directories:
        tally.add_tree(directory)
    return Usage(
        memory_bytes=sum(memory), processes=len(memory), disk_bytes=tally.allocated_bytes, files=tally.files
    )


def disk_usage(directory: Path) -> int:
    """Return the bytes allocated to a directory and everything in it. Blocks; never raises `OSError`.

    A file with several hard links counts once. Symlinks count only themselves and are never followed, not
    even as `directory`. Files that don't exist, vanish meanwhile, or can't be read don't count; files that
    are moved meanwhile may not. In a tree with more than `MAX_FILES` names, only that many are counted.
    """
    tally = _Tally()
    tally.add_tree(directory)
    return tally.allocated_bytes


def _memory_bytes(pid: int) -> int | None:
    """Return a process's PSS or, failing that, its RSS, in bytes; None if it is gone. A zombie has 0."""
    process = Path("/proc", str(pid))
    # Refused for a process with more rights than ours. A process that is just ending has no memory map.
    with contextlib.suppress(OSError):
        for line in (process / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    try:
        return int((process / "statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return None


@attrs.frozen
class _Level:
    """A directory on the way down: its identity, and its subdirectories still to be walked."""

    name: str
    identity: _Identity
    below: list[str]


@attrs.define(eq=False)
class _Tally:
    """Adds up what directories take on disk."""

    allocated_bytes: int = 0
    files: int = 0
    _seen: set[_Identity] = attrs.field(factory=set, init=False)

    def add_tree(self, directory: Path) -> None:
        with contextlib.suppress(OSError):
            if self.files <= MAX_FILES and self._add(directory.lstat()):
                top = os.open(directory, _DIRECTORY)
                try:
                    self._walk(top)
                finally:
                    os.close(top)

    def _add(self, status: os.stat_result) -> bool:
        """Count one name; return whether it is a directory not met before."""
        self.files += 1
        is_directory = stat.S_ISDIR(status.st_mode)
        if is_directory or status.st_nlink > 1:
            identity = _identity(status)
            if identity in self._seen:
                return False
            self._seen.add(identity)
        self.allocated_bytes += status.st_blocks * _BLOCK_BYTES
        return is_directory

    def _walk(self, top: int) -> None:
        """Count everything below a directory, depth first. Raises `OSError` without a free descriptor."""
        here = os.dup(top)
        try:
            levels = [self._look_into(here, "")]
            while self.files <= MAX_FILES:
                level = levels[-1]
                if level.below:
                    name = level.below.pop()
                    with contextlib.suppress(OSError):
                        here = _replace(here, _open(name, here))
                        levels.append(self._look_into(here, name))
                elif len(levels) > 1:
                    levels.pop()
                    here = _replace(here, _go_back(here, top, levels))
                else:
                    break
        finally:
            os.close(here)

    def _look_into(self, directory: int, name: str) -> _Level:
        """Count a directory's entries, up to the limit."""
        level = _Level(name, _identity(os.fstat(directory)), [])
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if self._add(entry.stat(follow_symlinks=False)):
                        level.below.append(entry.name)
                if self.files > MAX_FILES:
                    break
        return level


def _go_back(here: int, top: int, levels: list[_Level]) -> int:
    """Reopen the last of `levels` that was not moved or removed, and forget those after it."""
    with contextlib.suppress(OSError):
        above = _open("..", here)
        if _is(levels[-1], above):
            return above
        os.close(above)
    reached = os.dup(top)
    for depth, level in enumerate(levels[1:], start=1):
        with contextlib.suppress(OSError):
            inner = _open(level.name, reached)
            if _is(level, inner):
                reached = _replace(reached, inner)
                continue
            os.close(inner)
        del levels[depth:]
        break
    return reached


def _open(name: str, parent: int) -> int:
    return os.open(name, _DIRECTORY, dir_fd=parent)


def _replace(old: int, new: int) -> int:
    os.close(old)
    return new


def _is(level: _Level, directory: int) -> bool:
    return level.identity == _identity(os.fstat(directory))


def _identity(status: os.stat_result) -> _Identity:
    """Return what is equal for two names of one file, and differs for two files."""
    return status.st_dev, status.st_ino
