"""Finding and ending the processes of a cell by the marker in their environment, which each inherits.

A marker is no proof: anybody can put one into a process of theirs. Only processes of our own user count.

Browser hosts end their own cells with this too, so it imports neither Trio nor structlog. Within the daemon,
`greenroom.actors.machine.sampler` shares one scan among all who ask.
"""

import contextlib
import errno
import functools
import os
import re
import signal
import time
from collections.abc import Collection, Iterable

import psutil

from greenroom.actors.owner import MARKER, OWNER

_NAME = f"{MARKER}=".encode()
_MARK = re.compile(rb"(?:^|\0)" + _NAME + rb"([\x21-\x7e]+)")
_REAL_UID = re.compile(rb"^Uid:\s+(\d+)", re.MULTILINE)
_READ_BYTES = 1 << 16
# With these errors nothing can be read. Any other is about one process: it is gone, or somebody else's.
_BLIND = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
REAP_S = 5.0
SWEEP_INTERVAL_S = 0.02
# A process that execs shows no environment for a moment, and a parent may end between its child's start and
# its own turn: one sweep that finds nothing proves nothing.
EMPTY_SWEEPS = 3


def scan() -> dict[str, list[int]]:
    """Return the pids of our user's processes that have a marker, by marker. Blocks.

    Takes 10 ms for 900 processes. Zombies have no environment any more. Raises `OSError` where processes may
    have been missed for want of a file descriptor or memory.

    Each scan reads the environment of every process. Remembering which pids had no marker would miss what
    is about to start: a process gets its marker when it execs, which changes neither its pid nor its start
    time. Reading the start time takes longer than reading the environment, too.
    """
    found: dict[str, list[int]] = {}
    for pid in psutil.pids():
        try:
            mark = _read_mark(pid)
        except OSError as exc:
            if exc.errno in _BLIND:
                raise
        else:
            if mark is not None:
                found.setdefault(mark, []).append(pid)
    return found


def pids_of(token: str) -> list[int]:
    """Return the processes in the cell `token` now, sandboxes included. Costs what a `scan` does."""
    return scan().get(token, [])


def own_processes() -> list[psutil.Process]:
    """Return the processes in all the cells that this process has opened, zombies aside."""
    found = []
    for mark, pids in scan().items():
        if mark.startswith(OWNER):
            for pid in pids:
                with contextlib.suppress(psutil.Error):
                    found.append(psutil.Process(pid))
    return found


def killable(pids: Iterable[int]) -> list[int]:
    """Return those of `pids` that the calling process can kill and is not itself.

    Within a sandbox, process 1 is its init: it takes no signal from inside, and ends with the host.
    """
    return [pid for pid in pids if pid not in {1, os.getpid()}]


def kill_marked(tokens: Collection[str]) -> int:
    """Kill the processes of the cells `tokens`, except the calling one, and return how many there were.

    Where that can't be seen, for want of a file descriptor, the answer is 1: nobody knows that none is left.
    """
    try:
        found = scan()
    except OSError:
        return 1
    count = 0
    for token in tokens:
        victims = killable(found.get(token, ()))
        kill(victims, token)
        count += len(victims)
    return count


def kill(pids: Iterable[int], token: str) -> None:
    """Kill those of `pids` that are, now, of the cell `token`."""
    for pid in pids:
        with contextlib.suppress(OSError):
            _kill_if_marked(pid, token)


def is_marked(pid: int, token: str) -> bool:
    """Return whether `pid` is, now, of the cell `token`: a pid passes on to another process."""
    try:
        return _read_mark(pid) == token
    except OSError:
        return False


def end_marked(tokens: Collection[str]) -> dict[str, list[int]]:
    """Kill the cells `tokens` until nothing is left of them, the calling process aside, or for 5 s. Blocks.

    Returns the pids of what is left, for each cell of which something is: a process in an uninterruptible
    sleep, such as on a dead disk, dies of SIGKILL only when it wakes. Where what is left can't be seen, for
    want of a file descriptor, 0 stands for it in each cell, which is nobody's pid.
    """
    give_up = time.monotonic() + REAP_S
    empty = 0 if tokens else EMPTY_SWEEPS
    while empty < EMPTY_SWEEPS:
        empty = 0 if kill_marked(tokens) else empty + 1
        if time.monotonic() > give_up:
            return _survivors(tokens)
        time.sleep(SWEEP_INTERVAL_S)
    return {}


def _survivors(tokens: Collection[str]) -> dict[str, list[int]]:
    try:
        found = scan()
    except OSError:
        return {token: [0] for token in tokens}
    return {token: left for token in tokens if (left := killable(found.get(token, ())))}


def end_own_cell(inner: Collection[str] = ()) -> None:
    """Kill everything else in the cell that the calling process belongs to, as `end_marked` does.

    Then what carries the markers of the cells in it, `inner`: by then nobody starts more of that. What can't
    be killed is the daemon's business, or its successor's: it is in their ledger.
    """
    if token := os.environ.get(MARKER):
        end_marked([token])
    end_marked(inner)


def kill_handle(pidfd: int) -> None:
    """Kill the process that `pidfd` is a handle on, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


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

    The environment is searched as it is: taking apart those of all processes costs time and memory. So does
    the expression, on all of them: most have no marker.
    """
    environ = _read(f"/proc/{pid}/environ")
    if _NAME not in environ or (found := _MARK.search(environ)) is None:
        return None
    owner = _REAL_UID.search(_read(f"/proc/{pid}/status"))
    return found[1].decode() if owner and int(owner[1]) == os.getuid() else None


def _read(path: str) -> bytes:
    """Return what is in a file of /proc, in a third of the time that `Path.read_bytes` takes."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = b""
        while piece := os.read(fd, _READ_BYTES):
            content += piece
        return content
    finally:
        os.close(fd)
