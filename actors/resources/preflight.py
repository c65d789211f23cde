"""Whether the machine has room for one more session, asked before anything is begun for it."""

import contextlib
import errno
import functools
import os
import re
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import attrs
import psutil

from actors.resources.usage import in_words

_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUPS: Final = Path("/proc/self/cgroup")
_NO_DESCRIPTOR_LEFT = frozenset({errno.EMFILE, errno.ENFILE})
# A directory's links: its own name, its own ".", and ".." in each directory in it, here one for each thread.
_LINKS_OF_EMPTY_DIRECTORY = 2


@attrs.frozen(kw_only=True)
class Needs:
    """What one more session needs to be free. The defaults are for Firefox on a small profile."""

    # A clone is about the size of the master; one that began empty had 40 MB after its first page. Who knows
    # the master's size should ask for that on top.
    disk_bytes: int = 256 << 20
    # A clone that began empty had 91 files after its first page; each site that keeps data adds a few.
    inodes: int = 5_000
    # Measured, as PSS: Firefox 470 MB, the Playwright driver 134 MB, the Python host 90 MB.
    memory_bytes: int = 700 << 20
    # Measured: a running session keeps 5 in the daemon. Starting its processes, copying a profile, the
    # client's connection, and measuring what is used take more for a while.
    file_descriptors: int = 64
    # Each thread takes one. Measured: 18 processes with 212 threads, 77 of them in Firefox's main process.
    pids: int = 300


_NOTHING: Final = Needs(disk_bytes=0, inodes=0, memory_bytes=0, file_descriptors=0, pids=0)


def shortage(
    clones_dir: Path,
    needs: Needs,
    *,
    promised: Needs = _NOTHING,
    cgroups: Path = _CGROUPS,
    own_cgroups: Path = _OWN_CGROUPS,
) -> str | None:
    """Return a sentence, fit for a client, on what is too scarce for one more session, or None.

    Blocks for about a millisecond; never raises `OSError`. Looked at are, in this order: disk space and
    inodes where `clones_dir` is or will be, memory, this process's file descriptors, pids. The tightest limit
    counts, those of the control groups that this process is in included: of either version, mounted at
    `cgroups`, named in `own_cgroups`. What can't be read counts as no limit. What is `promised` to others
    counts as taken.
    """
    disk_bytes, inodes = _disk_room(clones_dir)
    groups = functools.partial(_find_cgroups, cgroups, own_cgroups)
    return (
        _too_little("disk space", _without(disk_bytes, promised.disk_bytes), needs.disk_bytes)
        or _too_few("inodes", _without(inodes, promised.inodes), needs.inodes)
        or _too_little(
            "memory",
            _without(_least(_memory_rooms(groups("memory"))), promised.memory_bytes),
            needs.memory_bytes,
        )
        or _too_few(
            "file descriptors",
            _without(_descriptor_room(), promised.file_descriptors),
            needs.file_descriptors,
        )
        or _too_few(
            "pids",
            _without(_least(_pid_rooms(groups("pids"), needs.pids + promised.pids)), promised.pids),
            needs.pids,
        )
    )


def _without(room: int | None, promised: int) -> int | None:
    """Return what is left of `room`, not below 0, or None when nothing is known."""
    return None if room is None else max(0, room - promised)


def _too_little(what: str, room: int | None, needed: int) -> str | None:
    if room is None or room >= needed:
        return None
    shown = f"{in_words(room)} is free, {in_words(needed, up=True)} is needed"
    return f"There is too little {what} for one more session: {shown}"


def _too_few(what: str, room: int | None, needed: int) -> str | None:
    if room is None or room >= needed:
        return None
    return f"There are too few {what} for one more session: {room:,} are free, {needed:,} are needed"


def _least(rooms: Iterable[int]) -> int | None:
    """Return the smallest, not below 0, or None when nothing is known."""
    return max(0, least) if (least := min(rooms, default=None)) is not None else None


def _disk_room(folder: Path) -> tuple[int | None, int | None]:
    """Return the bytes and inodes that an ordinary user may still take, where `folder` is or will be."""
    folder = folder.absolute()
    for existing in (folder, *folder.parents):
        try:
            found = os.statvfs(existing)
        except OSError:
            continue
        # Filesystems that make inodes as they go report none at all.
        return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None
    return None, None


def _memory_rooms(groups: Iterable[Path]) -> Iterator[int]:
    """Yield what each known limit leaves in bytes, counting as free what the kernel would give up at once."""
    with contextlib.suppress(OSError):
        yield psutil.virtual_memory().available
    for group in groups:
        limit = _number(group / "memory.max", group / "memory.limit_in_bytes")
        used = _number(group / "memory.current", group / "memory.usage_in_bytes")
        if limit is not None and used is not None:
            yield limit - used + _reclaimable(group)


def _reclaimable(group: Path) -> int:
    """Return the bytes of file cache, in a control group and those in it, that nobody used lately."""
    statistics = _text(group / "memory.stat")
    # In version 1 the plain entry leaves out the groups inside.
    for name in ("total_inactive_file", "inactive_file"):
        if found := re.search(rf"^{name} (\d+)$", statistics, re.MULTILINE):
            return int(found[1])
    return 0


def _descriptor_room() -> int | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        open_now = sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1  # the one that lists them
    except OSError as exc:
        return 0 if exc.errno in _NO_DESCRIPTOR_LEFT else None
    return max(0, limit - open_now)


def _pid_rooms(groups: Iterable[Path], needed: int) -> Iterator[int]:
    """Yield how many more processes and threads each known limit allows."""
    for group in groups:
        limit, used = _number(group / "pids.max"), _number(group / "pids.current")
        if limit is not None and used is not None:
            yield limit - used
    everyones = _count_threads()
    for name in ("pid_max", "threads-max"):
        limit = _number(Path("/proc/sys/kernel", name))
        if limit is not None and everyones is not None:
            yield limit - everyones
    limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if limit == resource.RLIM_INFINITY or os.getuid() == 0:  # which the kernel exempts
        return
    # The user's own can't be more than everyone's, which are known already; counting them takes a while.
    if everyones is None or limit - everyones < needed:
        yield limit - _count_own_threads()


def _count_threads() -> int | None:
    """Return how many threads run on this machine."""
    try:
        return int(_text(Path("/proc/loadavg")).split()[3].partition("/")[2])
    except (IndexError, ValueError):
        return None


def _count_own_threads() -> int:
    """Return how many threads this user has, as far as /proc shows them, at 6 microseconds a process."""
    count = 0
    own = os.getuid()
    with contextlib.suppress(OSError):
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                with contextlib.suppress(OSError):  # gone meanwhile
                    threads = (process / "task").stat()
                    if threads.st_uid == own:
                        count += threads.st_nlink - _LINKS_OF_EMPTY_DIRECTORY
    return count


def _find_cgroups(mounted: Path, named: Path, controller: str) -> Iterator[Path]:
    """Yield where the control groups that this process is in would be, the innermost first.

    In a container the group's path may be the host's, and mean nothing here; then the mount point is the
    container's own group, and it is always yielded.
    """
    for line in _text(named).splitlines():
        _, controllers, path = line.split(":", 2)
        group = PurePosixPath(path.lstrip("/"))
        if not controllers:  # version 2, alone or beside version 1
            mounts = [mounted, mounted / "unified"]
        elif controller in controllers.split(","):
            mounts = [mounted / controller]
        else:
            continue
        for mount in mounts:
            yield from (mount / inner for inner in (group, *group.parents))


def _number(*paths: Path) -> int | None:
    """Return the number in the first of these files that holds one; `max` is none."""
    for path in paths:
        text = _text(path).strip()
        if text.isdecimal():
            return int(text)
    return None


def _text(path: Path) -> str:
    """Return what is in a file of the kernel's, or nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
