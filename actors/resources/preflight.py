"""Whether the machine has room for one more session, checked before anything is started for it."""

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

from greenroom.actors.resources.usage import in_words

_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUPS: Final = Path("/proc/self/cgroup")
_NO_DESCRIPTOR_LEFT = frozenset({errno.EMFILE, errno.ENFILE})
# A directory has a link for its name, one for its own ".", and one for ".." in each subdirectory. In
# /proc/PID/task each subdirectory is a thread.
_LINKS_OF_EMPTY_DIRECTORY = 2


@attrs.frozen(kw_only=True)
class Needs:
    """What must be free for one more session. The defaults are for Firefox on a small profile."""

    # A clone is about as large as the master; one that began empty had 40 MB after its first page. Callers
    # that know the master's size should add it.
    disk_bytes: int = 256 << 20
    # A clone that began empty had 91 files after its first page; each site that keeps data adds a few.
    inodes: int = 5_000
    # Measured, as PSS: Firefox 470 MB, the Playwright driver 134 MB, the Python host 90 MB.
    memory_bytes: int = 700 << 20
    # Measured: a running session keeps 5 open in the daemon. Starting its processes, copying a profile, the
    # client's connection and measuring usage take more for short times.
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
    """Return what is too scarce for one more session, as a sentence that a client may see, or None.

    Blocks for about a millisecond; never raises `OSError`. Checks, in this order: disk space and inodes where
    `clones_dir` is or will be, memory, this process's file descriptors, pids. The tightest limit counts,
    including those of the control groups that this process is in, of either version, which are mounted at
    `cgroups` and named in `own_cgroups`. A limit that can't be read is ignored. Whatever is `promised` to
    others counts as taken.
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
    """Return what is left of `room`, at least 0, or None if that is unknown."""
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
    """Return the smallest room, at least 0, or None if no limit is known."""
    return max(0, least) if (least := min(rooms, default=None)) is not None else None


def _disk_room(folder: Path) -> tuple[int | None, int | None]:
    """Return the bytes and inodes left for an ordinary user where `folder` is or will be."""
    folder = folder.absolute()
    for existing in (folder, *folder.parents):
        try:
            found = os.statvfs(existing)
        except OSError:
            continue
        # Filesystems that create inodes on demand, such as btrfs, report a total of 0.
        return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None
    return None, None


def _memory_rooms(groups: Iterable[Path]) -> Iterator[int]:
    """Yield the bytes that each known limit leaves; memory that the kernel can reclaim at once is free."""
    with contextlib.suppress(OSError):
        yield psutil.virtual_memory().available
    for group in groups:
        limit = _number(group / "memory.max", group / "memory.limit_in_bytes")
        used = _number(group / "memory.current", group / "memory.usage_in_bytes")
        if limit is not None and used is not None:
            yield limit - used + _reclaimable(group)


def _reclaimable(group: Path) -> int:
    """Return the bytes of inactive file cache in a control group and the groups within."""
    statistics = _text(group / "memory.stat")
    # In version 1 the plain entry doesn't include the groups within.
    for name in ("total_inactive_file", "inactive_file"):
        if found := re.search(rf"^{name} (\d+)$", statistics, re.MULTILINE):
            return int(found[1])
    return 0


def _descriptor_room() -> int | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        # One of them is the descriptor that lists the directory.
        open_now = sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1
    except OSError as exc:
        return 0 if exc.errno in _NO_DESCRIPTOR_LEFT else None  # the listing itself needs a descriptor
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
    if limit == resource.RLIM_INFINITY or os.getuid() == 0:  # the kernel exempts root from RLIMIT_NPROC
        return
    # Counting the user's own threads is slow, and there can't be more of them than of everyone's, which are
    # known already. So count only if even that number would leave too little.
    if everyones is None or limit - everyones < needed:
        yield limit - _count_own_threads()


def _count_threads() -> int | None:
    """Return the number of threads on this machine, or None if it is unknown."""
    try:
        # proc_loadavg(5): "0.20 0.18 0.12 1/80 11206"; 80 scheduling entities exist.
        return int(_text(Path("/proc/loadavg")).split()[3].partition("/")[2])
    except (IndexError, ValueError):
        return None


def _count_own_threads() -> int:
    """Return how many threads of this user /proc shows. Takes about 6 microseconds per process."""
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
    """Yield the possible paths of the control groups that this process is in, the innermost first.

    In a container the group's path may be the host's, which doesn't exist here. The mount point is then the
    container's own group, so it is always yielded.
    """
    for line in _text(named).splitlines():
        _, controllers, path = line.split(":", 2)
        group = PurePosixPath(path.lstrip("/"))
        if not controllers:  # version 2, alone or together with version 1
            mounts = [mounted, mounted / "unified"]
        elif controller in controllers.split(","):
            mounts = [mounted / controller]
        else:
            continue
        for mount in mounts:
            yield from (mount / inner for inner in (group, *group.parents))


def _number(*paths: Path) -> int | None:
    """Return the number in the first of these files that holds one; `max` is not a number."""
    for path in paths:
        text = _text(path).strip()
        if text.isdecimal():
            return int(text)
    return None


def _text(path: Path) -> str:
    """Return the content of one of the kernel's files, or "" if it can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
