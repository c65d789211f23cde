"""Finding and ending the processes of a cell by the marker in their environment, which each inherits.

A marker is no proof: anybody can put one into a process of theirs. Only processes of our own user count.
"""

import contextlib
import functools
import os
import re
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from actors.owner import MARKER, OWNER

_MARK = re.compile(rb"(?:^|\0)" + MARKER.encode() + rb"=([\x21-\x7e]+)")
_REAL_UID = re.compile(rb"^Uid:\s+(\d+)", re.MULTILINE)
_REAP_S = 5.0
SWEEP_INTERVAL_S = 0.02
# A process that execs shows no environment for a moment, and a parent may end between its child's start and
# its own turn: one sweep that finds nothing proves nothing.
_EMPTY_SWEEPS = 3


def marked_processes() -> Iterator[tuple[psutil.Process, str]]:
    """Yield our user's processes with a marker, and that. Zombies have no environment any more."""
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            if mark := _read_mark(pid):
                yield psutil.Process(pid), mark


def own_processes() -> list[psutil.Process]:
    """Return the processes in all the cells that this process has opened, zombies aside."""
    return [process for process, mark in marked_processes() if mark.startswith(OWNER)]


def census(token: str) -> list[int]:
    """Return the processes in the cell `token` now, sandboxes included. Blocks for some milliseconds."""
    return [process.pid for process, mark in marked_processes() if mark == token]


def survivors(token: str) -> list[int]:
    """Return the pids of what is left of the cell `token`, or 0 where that can't be seen."""
    try:
        return _others(token)
    except OSError:
        return [0]


def kill_marked(token: str) -> int:
    """Kill the processes of the cell `token`, except the calling one, and return how many there were.

    Where that can't be seen, for want of a file descriptor, the answer is 1: nobody knows that none is left.
    """
    try:
        victims = _others(token)
    except OSError:
        return 1
    for pid in victims:
        with contextlib.suppress(OSError):
            _kill_if_marked(pid, token)
    return len(victims)


def sweeps(token: str) -> Iterator[None]:
    """Kill the cell `token`, again after each pause that the caller makes, until it is empty."""
    empty = 0
    while (empty := 0 if kill_marked(token) else empty + 1) < _EMPTY_SWEEPS:
        yield


def end_marked(token: str) -> list[int]:
    """Kill the cell `token` until nothing is left of it, the calling process aside, or for 5 s. Blocks.

    Returns the pids of what is left: a process in an uninterruptible sleep, such as on a dead disk, dies of
    SIGKILL only when it wakes. Where what is left can't be seen, for want of a file descriptor, 0 stands for
    it, which is nobody's pid.
    """
    give_up = time.monotonic() + _REAP_S
    for _ in sweeps(token):
        if time.monotonic() > give_up:
            return survivors(token)
        time.sleep(SWEEP_INTERVAL_S)
    return []


def end_own_cell(inner: Iterable[str] = ()) -> None:
    """Kill everything else in the cell that the calling process belongs to, as `end_marked` does.

    Then what carries the markers of the cells in it, `inner`: by then nobody starts more of that. What can't
    be killed is the daemon's business, or its successor's: it is in their ledger.
    """
    for token in (os.environ.get(MARKER), *inner):
        if token:
            end_marked(token)


def kill_handle(pidfd: int) -> None:
    """Kill the process that `pidfd` is a handle on, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _others(token: str) -> list[int]:
    """Return the processes of the cell `token` that the calling process can kill and is not itself.

    Within a sandbox, process 1 is its init: it takes no signal from inside, and ends with the host.
    """
    return [pid for pid in census(token) if pid not in {1, os.getpid()}]


def _kill_if_marked(pid: int, token: str) -> None:
    """Kill the process `pid` if it is of the cell `token`. Raises `OSError` where it is gone.

    The handle comes before the look: should the pid pass to another process in between, the handle doesn't.
    Where the kernel gives none, the look has to do, rather than leave the process alone.
    """
    with contextlib.ExitStack() as stack:
        kill = functools.partial(os.kill, pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(pid)
            stack.callback(os.close, pidfd)
            kill = functools.partial(kill_handle, pidfd)
        if _read_mark(pid) == token:
            kill()


def _read_mark(pid: int) -> str | None:
    """Return the marker of a process of ours, or None. Raises `OSError` where it can't be read.

    The environment is searched as it is: taking apart those of all processes costs time and memory.
    """
    found = _MARK.search(Path(f"/proc/{pid}/environ").read_bytes())
    if found is None:
        return None
    owner = _REAL_UID.search(Path(f"/proc/{pid}/status").read_bytes())
    return found[1].decode() if owner and int(owner[1]) == os.getuid() else None
