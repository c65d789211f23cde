"""A cell: the processes of one browser host, or of one browser in it, which all die together.

With bubblewrap the host is the second process of a PID namespace of its own. Its first process is
bubblewrap's init: when that dies, the kernel kills everything in the namespace and only then reports the
death, so waiting for one process is waiting for all. `--die-with-parent` ties it to this process.

Without bubblewrap the host's descendants are found by a marker in the environment, which each of them
inherits: Firefox runs in a session and process group of its own, so its ancestry or group would not tell.
The host itself ends them when this process dies, which it notices by the end of its standard input.

A browser's cell lies within its host's and is found by a marker of its own, with and without bubblewrap.
"""

import contextlib
import enum
import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import attrs
import psutil
import structlog
import trio

from actors.errors import BrowserLost, CloneFailed, SandboxUnavailable
from actors.owner import MARKER, OWNER
from actors.removal import remove_in_time
from actors.threads import Purpose, finish_in_thread

_MARK = re.compile(rb"(?:^|\0)" + MARKER.encode() + rb"=([\x21-\x7e]+)")
_OWN_VARIABLES = "GREENROOM_"
_START_S = 10.0
_REAP_S = 5.0
_OUTER_EXIT_S = 0.5
_SWEEP_INTERVAL_S = 0.02
# A process that execs shows no environment for a moment, and a parent may end between its child's start and
# its own turn: one sweep that finds nothing proves nothing.
_EMPTY_SWEEPS = 3
_threads = trio.CapacityLimiter(10)
_NO_START = "The browser host does not start"
_log = structlog.get_logger("greenroom.cells")
_NAMESPACE = ("--die-with-parent", "--unshare-pid", "--dev-bind", "/", "/", "--proc", "/proc")


T = TypeVar("T")


class Sandbox(enum.Enum):
    """What holds a cell together."""

    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


@functools.cache
def bubblewrap_problem() -> str | None:
    """Return why bubblewrap can't make a cell on this machine, or None when it can; asked once."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    try:
        subprocess.run(["bwrap", *_NAMESPACE, "--", "true"], check=True, capture_output=True, timeout=10)
    except subprocess.CalledProcessError as exc:
        return f"bubblewrap does not run here: {exc.stderr.decode(errors='replace').strip()}"
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"bubblewrap does not run here: {exc}"
    return None


def choose_sandbox(choice: str) -> Sandbox:
    """Return the sandbox for a setting: `auto` takes bubblewrap where it runs.

    Raises `SandboxUnavailable` when `bubblewrap` is demanded and does not run.
    """
    if choice == "none":
        return Sandbox.NONE
    problem = bubblewrap_problem()
    if problem is None:
        return Sandbox.BUBBLEWRAP
    if choice == "auto":
        return Sandbox.NONE
    raise SandboxUnavailable(problem)


@attrs.define(eq=False)
class Cell:
    """The processes started by `open_cell`, and the two ends of talking with the first of them.

    `scratch` is where they keep temporary files; it goes with them.
    """

    socket: trio.SocketStream
    output: trio.abc.ReceiveStream
    scratch: Path
    _token: str
    _process: "subprocess.Popen[bytes]"
    _pidfd: int
    _watched_pidfds: list[int]
    _init_pid: int | None = None
    _init_pidfd: int | None = None
    _ending: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _has_ended: bool = attrs.field(default=False, init=False)
    _not_ended: "_NotEnded | None" = attrs.field(default=None, init=False)

    async def wait_first(self) -> None:
        """Return when the cell's first process, or the init of its namespace, has died.

        For one task at a time.
        """
        async with trio.open_nursery() as nursery:
            for pidfd in self._watched_pidfds:
                nursery.start_soon(_wait_dead, pidfd, nursery.cancel_scope)

    async def end(self) -> None:
        """Kill what is in the cell and return when nothing of it is left. Any task may, at any time.

        Raises `BrowserLost` when its processes can't be ended within 5 s.
        """
        async with self._ending:
            if not self._has_ended:
                self.kill()
                with trio.move_on_after(_REAP_S, shield=True) as reaping:
                    await self.wait_gone()
                self._has_ended = True
                if reaping.cancelled_caught:
                    self._not_ended = _NotEnded(self._token, _survivors(self._token))
        if self._not_ended is not None:
            raise self._not_ended

    def kill(self) -> None:
        """Kill what is in the cell. Idempotent, does not wait."""
        if self._init_pidfd is not None:
            _kill(self._init_pidfd)
        else:
            kill_marked(self._token)
            _kill(self._pidfd)

    async def wait_gone(self) -> None:
        """Return when no process of a killed cell is left."""
        if self._init_pidfd is not None:
            await trio.lowlevel.wait_readable(self._init_pidfd)
            # Bubblewrap now reaps its init and exits by itself, unless it is stopped.
            with trio.move_on_after(_OUTER_EXIT_S):
                await trio.lowlevel.wait_readable(self._pidfd)
            _kill(self._pidfd)
        await trio.lowlevel.wait_readable(self._pidfd)
        self._process.wait()
        if self._init_pidfd is None:
            for _ in _sweeps(self._token):
                await trio.sleep(_SWEEP_INTERVAL_S)

    def pids(self) -> list[int]:
        """Return the processes with which the cell ends: the first one, and the init of its namespace."""
        return [self._process.pid, *filter(None, [self._init_pid])]

    def census(self) -> list[int]:
        """Return the processes in the cell now; see `census`."""
        return census(self._token)

    async def _open_init(self, info: trio.lowlevel.FdStream) -> None:
        """Read bubblewrap's report on the init of the PID namespace, and open handles on that."""
        report = b""
        try:
            with trio.fail_after(_START_S):
                async for chunk in info:
                    report += chunk
            pid = int(json.loads(report)["child-pid"])
            self._init_pidfd = os.pidfd_open(pid)
            self._init_pid = pid
            self._watched_pidfds.append(os.pidfd_open(pid))
        except (trio.TooSlowError, ValueError, KeyError, OSError) as exc:
            raise BrowserLost("The sandbox does not start", detail=repr(exc)) from exc

    def _close(self) -> None:
        os.close(self._pidfd)
        for pidfd in self._watched_pidfds:
            os.close(pidfd)
        if self._init_pidfd is not None:
            os.close(self._init_pidfd)


@contextlib.asynccontextmanager
async def open_cell(
    command: Sequence[str], sandbox: Sandbox, *, marker: str | None = None, scratch: Path | None = None
) -> AsyncIterator[Cell]:
    """Run `command` in a cell of its own for the length of the block.

    Its standard input is a socket, its output and error streams one pipe. Its processes carry `marker` and
    keep their temporary files in `scratch`, a directory that does not exist yet; both are made up if they are
    not given. Leaving the block kills the whole cell, waits until it is gone, and removes `scratch`.
    Raises `BrowserLost` when the cell does not start. Also when its processes can't be ended within 5 s, as
    those that wait for a dead disk: its detail then names them, and `scratch` stays, and with that the entry
    of a ledger that lists both.

    The process is started on the event loop's own thread, in about a millisecond: the kernel's
    death signal is tied to the thread that starts it, and a worker thread goes away when idle.
    """
    token = marker or f"{OWNER}.{uuid.uuid4().hex}"
    async with open_scratch(scratch) as folder, _open_processes(command, sandbox, token, folder) as cell:
        yield cell


@contextlib.asynccontextmanager
async def open_scratch(wanted: Path | None) -> AsyncIterator[str]:
    """Own a directory for temporary files: a driver that is killed leaves some behind.

    It stays where a process outlives its cell: as long as it is there, the ledger keeps the cell's entry.
    Raises `BrowserLost` when it can't be made.
    """
    try:
        if wanted is None:
            scratch = tempfile.mkdtemp(prefix="greenroom-")
        else:
            await finish_in_thread(Purpose.LEDGER, wanted.mkdir, 0o700, within_s=_START_S)
            scratch = str(wanted)
    except (OSError, trio.TooSlowError) as exc:
        raise BrowserLost(_NO_START, detail=str(exc) or repr(exc)) from exc
    in_use = False
    try:
        yield scratch
    except _NotEnded:
        in_use = True
        raise
    finally:
        if not in_use:
            await _discard(Path(scratch))


async def _discard(scratch: Path) -> None:
    """Remove temporary files; those that stay keep the entry of a ledger that lists them."""
    try:
        await remove_in_time(scratch)
    except CloneFailed as exc:
        _log.error("temporary files could not be removed", detail=exc.detail)


@contextlib.asynccontextmanager
async def _open_processes(
    command: Sequence[str], sandbox: Sandbox, token: str, scratch: str
) -> AsyncIterator[Cell]:
    try:
        cell, info = _start(command, sandbox, token, scratch)
    except OSError as exc:
        raise BrowserLost(_NO_START, detail=str(exc)) from exc
    try:
        async with info:
            if sandbox is Sandbox.BUBBLEWRAP:
                await cell._open_init(info)  # noqa: SLF001  # its own maker
        yield cell
    finally:
        try:
            with trio.CancelScope(shield=True):
                await cell.end()
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(cell.socket)
                await trio.aclose_forcefully(cell.output)
            cell._close()  # noqa: SLF001  # its own maker


def _start(
    command: Sequence[str], sandbox: Sandbox, token: str, scratch: str
) -> tuple[Cell, trio.lowlevel.FdStream]:
    """Return a started cell and bubblewrap's report on it.

    Raises `OSError`, leaving nothing behind, or `BrowserLost` when what was started can't be ended.
    """
    with contextlib.ExitStack() as always, contextlib.ExitStack() as on_failure:
        ours, theirs = socket.socketpair()
        on_failure.callback(ours.close)
        always.callback(theirs.close)
        output_read, output_write = os.pipe()
        on_failure.callback(os.close, output_read)
        always.callback(os.close, output_write)
        info_read, info_write = os.pipe()
        on_failure.callback(os.close, info_read)
        always.callback(os.close, info_write)
        process = subprocess.Popen(
            [*_sandbox_command(sandbox, info_write), *command],
            stdin=theirs.fileno(),
            stdout=output_write,
            stderr=output_write,
            env=_environment(os.environ, token, scratch),
            pass_fds=(info_write,) if sandbox is Sandbox.BUBBLEWRAP else (),
            start_new_session=True,
        )
        on_failure.callback(_end_started, process, token)
        pidfd = os.pidfd_open(process.pid)
        on_failure.callback(os.close, pidfd)
        watched_pidfd = os.pidfd_open(process.pid)
        on_failure.pop_all()
    cell = Cell(
        socket=trio.SocketStream(trio.socket.from_stdlib_socket(ours)),
        output=trio.lowlevel.FdStream(output_read),
        scratch=Path(scratch),
        token=token,
        process=process,
        pidfd=pidfd,
        watched_pidfds=[watched_pidfd],
    )
    return cell, trio.lowlevel.FdStream(info_read)


def _end_started(process: "subprocess.Popen[bytes]", token: str) -> None:
    """End and reap a process for which there is no cell yet. Raises `BrowserLost` when it can't be ended."""
    process.kill()
    left = end_marked(token)
    try:
        process.wait(_OUTER_EXIT_S)
    except subprocess.TimeoutExpired:
        left = left or [process.pid]  # one that is just ending shows no marker any more
    if left:
        raise _NotEnded(token, left)


class _NotEnded(BrowserLost):
    """Processes outlive SIGKILL."""

    def __init__(self, token: str, pids: Sequence[int]) -> None:
        super().__init__("A browser's processes could not be ended", detail=f"cell {token}, pids {pids}")


def own_processes() -> list[psutil.Process]:
    """Return the processes in all the cells that this process has opened, zombies aside."""
    return [process for process, mark in marked_processes() if mark.startswith(OWNER)]


def kill_marked(token: str) -> int:
    """Kill the processes of the cell `token`, except the calling one, and return how many there were.

    Where that can't be seen, for want of a file descriptor, the answer is 1: nobody knows that none is left.
    """
    # Within a sandbox, process 1 is its init: it takes no signal from inside, and ends with the host.
    try:
        victims = _others(token)
    except OSError:
        return 1
    for process in victims:
        with contextlib.suppress(psutil.Error, OSError):
            process.kill()
    return len(victims)


def end_own_cell(inner: Iterable[str] = ()) -> None:
    """Kill everything else in the cell that the calling process belongs to, as `end_marked` does.

    Then what carries the markers of the cells in it, `inner`: by then nobody starts more of that. What can't
    be killed is the daemon's business, or its successor's: it is in their ledger.
    """
    for token in (os.environ.get(MARKER), *inner):
        if token:
            end_marked(token)


async def aside(function: Callable[[str], T], token: str) -> T:
    """Return what `function`, about the processes of the cell `token`, does in a thread.

    Nothing else waits for these threads. Where none can be had, ending comes before a loop that never
    pauses.
    """
    try:
        return await trio.to_thread.run_sync(function, token, limiter=_threads)
    except RuntimeError:
        return function(token)


async def end_processes(token: str) -> None:
    """Kill the cell `token` until nothing is left of it, as `end_marked` does, but in the background.

    Raises `BrowserLost` when its processes can't be ended within 5 s.
    """
    if left := await aside(end_marked, token):
        raise _NotEnded(token, left)


def census(token: str) -> list[int]:
    """Return the processes in the cell `token` now, sandboxes included. Blocks for some milliseconds."""
    return [process.pid for process in _marked(token)]


def end_marked(token: str) -> list[int]:
    """Kill the cell `token` until nothing is left of it, the calling process aside, or for 5 s. Blocks.

    Returns the pids of what is left: a process in an uninterruptible sleep, such as on a dead disk, dies of
    SIGKILL only when it wakes. Where what is left can't be seen, for want of a file descriptor, 0 stands for
    it, which is nobody's pid.
    """
    give_up = time.monotonic() + _REAP_S
    for _ in _sweeps(token):
        if time.monotonic() > give_up:
            return _survivors(token)
        time.sleep(_SWEEP_INTERVAL_S)
    return []


def _survivors(token: str) -> list[int]:
    """Return the pids of what is left of the cell `token`, or 0 where that can't be seen."""
    try:
        return [process.pid for process in _others(token)]
    except OSError:
        return [0]


def _others(token: str) -> list[psutil.Process]:
    """Return the processes of the cell `token` that the calling process can kill and is not itself."""
    return [process for process in _marked(token) if process.pid not in {1, os.getpid()}]


def _sweeps(token: str) -> Iterator[None]:
    """Kill the cell `token`, again after each pause that the caller makes, until it is empty."""
    empty = 0
    while (empty := 0 if kill_marked(token) else empty + 1) < _EMPTY_SWEEPS:
        yield


def _marked(token: str) -> Iterator[psutil.Process]:
    return (process for process, mark in marked_processes() if mark == token)


def marked_processes() -> Iterator[tuple[psutil.Process, str]]:
    """Yield the processes with a marker, and that. Zombies have no environment any more.

    The environment is searched as it is: taking apart those of all processes costs time and memory.
    """
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            found = _MARK.search(Path(f"/proc/{pid}/environ").read_bytes())
            if found:
                yield psutil.Process(pid), found[1].decode()


def _sandbox_command(sandbox: Sandbox, info_fd: int) -> list[str]:
    if sandbox is Sandbox.NONE:
        return []
    return ["bwrap", *_NAMESPACE, "--info-fd", str(info_fd), "--"]


def _environment(inherited: Mapping[str, str], token: str, scratch: str) -> dict[str, str]:
    """Leave out our own settings, which may hold secrets that no browser needs."""
    kept = {name: value for name, value in inherited.items() if not name.startswith(_OWN_VARIABLES)}
    return kept | {MARKER: token, "TMPDIR": scratch, "MOZ_CRASHREPORTER_DISABLE": "1"}


def _kill(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


async def _wait_dead(pidfd: int, waiting: trio.CancelScope) -> None:
    await trio.lowlevel.wait_readable(pidfd)
    waiting.cancel(reason="a process has died")
