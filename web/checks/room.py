"""Room for one more session: the check that the daemon makes before it starts one, resource by resource."""

import contextlib
from collections.abc import Iterator
from typing import Final

import attrs

from greenroom.actors.errors import ResourcesExhausted
from greenroom.actors.resources import Needs, disk_usage, shortage
from greenroom.web import rlimits
from greenroom.web.checks.finding import Finding, Level
from greenroom.web.settings import DaemonSettings

_NOTHING: Final = Needs(disk_bytes=0, inodes=0, memory_bytes=0, file_descriptors=0, pids=0)
_ON_DISK: Final = {
    "disk_bytes": ("disk space", "free some disk space, or set clones_dir to another disk"),
    "inodes": ("inodes", "remove files on that disk, or set clones_dir to another disk"),
}
_ELSEWHERE: Final = {
    "memory_bytes": ("memory", "stop other programs, or raise the container's memory limit"),
    "file_descriptors": ("descriptors", "raise the limit: ulimit -n 4096, or a service's LimitNOFILE="),
    "pids": ("pids", "raise the limit: ulimit -u, a container's pids.max, or a service's TasksMax="),
}


def check_disk(settings: DaemonSettings) -> Iterator[Finding]:
    """Check whether a clone of the master profile fits in `clones_dir`."""
    needs = Needs()
    with contextlib.suppress(OSError):  # the check of the master profile reports that
        size = disk_usage(settings.user_data_master_dir)
        needs = attrs.evolve(needs, disk_bytes=needs.disk_bytes + size)
    return _check(settings, needs, _ON_DISK)


def check_room(settings: DaemonSettings) -> Iterator[Finding]:
    """Check whether there are enough memory, descriptors and pids for another session."""
    return _check(settings, Needs(), _ELSEWHERE)


def check_limits(settings: DaemonSettings) -> Finding:
    """Check whether the limits on files and threads suffice for `max_sessions`, as the daemon does."""
    try:
        rlimits.check_limits(settings, rlimits.raise_limits())
    except ResourcesExhausted as exc:
        return Finding("limits", Level.FAIL, str(exc), exc.detail or "")
    return Finding("limits", Level.OK, f"enough for {settings.max_sessions} sessions")


def _check(settings: DaemonSettings, needs: Needs, wanted: dict[str, tuple[str, str]]) -> Iterator[Finding]:
    for name, (subject, fix) in wanted.items():
        alone = attrs.evolve(_NOTHING, **{name: getattr(needs, name)})
        lacking = shortage(settings.clones_dir, alone)
        if lacking:
            yield Finding(subject, Level.FAIL, lacking, fix)
        else:
            yield Finding(subject, Level.OK, "enough for one more session")
