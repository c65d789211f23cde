"""Finds and ends the processes of a cell by the marker in their environment, which children inherit.

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
# These errors mean that nothing can be read. Any other error is about one process: gone, or somebody else's.
_BLIND = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
REAP_S = 5.0
SWEEP_INTERVAL_S = 0.02
# A process that execs shows no environment for a moment, and a parent may end between its child's start and
# its own turn: one sweep that finds nothing proves nothing.
EMPTY_SWEEPS = 3


def scan() -> dict[str, list[int]]:
    """Return the pids of our user's processes that have a marker, by marker. Blocks.

    Takes 10 ms for 900 processes. Zombies are not found, since they have no environment. Raises `OSError` if
    processes may have been missed for lack of a file descriptor or memory.

    Each scan reads the environment of every process. Remembering which pids had no marker would miss
    processes that are just starting: a process gets its marker when it execs, which changes neither its pid
    nor its start time. Besides, reading the start time takes longer than reading the environment.
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
    """Return the processes that are in the cell `token` now, sandboxes included. As slow as a `scan`."""
    return scan().get(token, [])


def own_processes() -> list[psutil.Process]:
    """Return the processes in all the cells that this process has opened, except zombies."""
    found = []
    for mark, pids in scan().items():
        if mark.startswith(OWNER):
            for pid in pids:
                with contextlib.suppress(psutil.Error):
                    found.append(psutil.Process(pid))
    return found


def killable(pids: Iterable[int]) -> list[int]:
    """Return those of `pids` that the calling process can kill, itself excluded.

    In a sandbox, process 1 is its init. It ignores signals from inside, and ends with the host.
    """
    return [pid for pid in pids if pid not in {1, os.getpid()}]


def kill_marked(tokens: Collection[str]) -> int:
    """Kill the processes of the cells `tokens`, except the calling one; return how many there were.

    Returns 1 if the processes can't be listed for lack of a file descriptor, since some may be left.
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
    """Kill those of `pids` that still belong to the cell `token`."""
    for pid in pids:
        with contextlib.suppress(OSError):
            _kill_if_marked(pid, token)


def is_marked(pid: int, token: str) -> bool:
    """Return whether `pid` now belongs to the cell `token`: the kernel reuses pids."""
    try:
        return _read_mark(pid) == token
    except OSError:
        return False


def end_marked(tokens: Collection[str]) -> dict[str, list[int]]:
    """Kill the cells `tokens` until nothing but the calling process is left of them, or for 5 s. Blocks.

    Returns the pids that are left, by cell. A process in an uninterruptible sleep, for example on a dead
    disk, dies of SIGKILL only when it wakes. If the processes can't be listed for lack of a file descriptor,
    each cell has the pid 0, which belongs to no process.
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
    """Kill everything else in the calling process's own cell, as `end_marked` does, then the cells `inner`.

    By then nothing is left that could start more processes in `inner`. Processes that can't be killed are in
    the ledger, so the daemon or its successor will deal with them.
    """
    if token := os.environ.get(MARKER):
        end_marked([token])
    end_marked(inner)


def kill_handle(pidfd: int) -> None:
    """Kill the process behind the handle `pidfd`, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _kill_if_marked(pid: int, token: str) -> None:
    """Kill the process `pid` if it belongs to the cell `token`. Raises `OSError` if it is gone.

    The handle is opened before the check: if the pid is reused in between, the handle still means the old
    process. If the kernel gives no handle, the check alone has to do.
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
    """Return the marker of a process of ours, or None. Raises `OSError` if it can't be read.

    The environment is searched unparsed, since parsing it for every process costs time and memory. So does
    the regular expression, and most processes have no marker, so a plain search comes first.
    """
    environ = _read(f"/proc/{pid}/environ")
    if _NAME not in environ or (found := _MARK.search(environ)) is None:
        return None
    owner = _REAL_UID.search(_read(f"/proc/{pid}/status"))
    return found[1].decode() if owner and int(owner[1]) == os.getuid() else None


def _read(path: str) -> bytes:
    """Return the content of a file in /proc, in a third of the time that `Path.read_bytes` takes."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = b""
        while piece := os.read(fd, _READ_BYTES):
            content += piece
        return content
    finally:
        os.close(fd)
