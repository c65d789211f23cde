"""A cell: the processes of one browser host, or of one browser in it, which all die together.

With bubblewrap the host is the second process of a PID namespace of its own. Its first process is
bubblewrap's init: when that dies, the kernel kills everything in the namespace and only then reports the
death, so waiting for one process is waiting for all. `--die-with-parent` ties it to this process.

Without bubblewrap the host's descendants are found by a marker in the environment, which each of them
inherits: Firefox runs in a session and process group of its own, so its ancestry or group would not tell.
The host itself ends them when this process dies, which it notices by the end of its standard input; should
it be stopped, or hang, a lease does.

A browser's cell lies within its host's and is found by a marker of its own, with and without bubblewrap.
"""

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import attrs
import structlog
import trio

from actors.browser.environment import host_environment, make_places
from actors.browser.host_cell import EVERYTHING, host_cell
from actors.browser.lease import open_lease
from actors.browser.marks import end_marked, kill_handle, kill_marked
from actors.browser.sandbox import Sandbox
from actors.errors import BrowserLost, CloneFailed
from actors.machine.sampler import Sampler
from actors.owner import OWNER
from actors.removal import remove_in_time, remove_tree
from actors.threads import Purpose, finish_in_thread

# Whoever stops a service may send SIGTERM to every process of it. Ours go on until the daemon ends them: a
# shell that ignores a signal hands that down to what it becomes, bubblewrap included.
_IGNORING_SIGNALS = ("/bin/sh", "-c", 'trap "" HUP INT TERM; exec "$@"', "sh")
_START_S = 10.0
_REAP_S = 5.0
_OUTER_EXIT_S = 0.5
_NO_START = "The browser host does not start"
_log = structlog.get_logger("greenroom.cells")


@attrs.define(eq=False)
class Cell:
    """The processes started by `open_cell`, and the two ends of talking with the first of them.

    They carry `marker`. `scratch` is where they keep temporary files; it goes with them.
    """

    socket: trio.SocketStream
    output: trio.abc.ReceiveStream
    scratch: Path
    marker: str
    _sampler: Sampler
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
                if reaping.cancelled_caught:
                    self._not_ended = _NotEnded(self.marker, await self._sampler.survivors(self.marker))
                self._has_ended = True
        if self._not_ended is not None:
            raise self._not_ended

    def kill(self) -> None:
        """Kill what is in the cell. Idempotent, does not wait."""
        if self._init_pidfd is not None:
            kill_handle(self._init_pidfd)
        else:
            kill_marked([self.marker])
            kill_handle(self._pidfd)

    async def wait_gone(self) -> None:
        """Return when no process of a killed cell is left."""
        if self._init_pidfd is not None:
            await trio.lowlevel.wait_readable(self._init_pidfd)
            # Bubblewrap now reaps its init and exits by itself, unless it is stopped.
            with trio.move_on_after(_OUTER_EXIT_S):
                await trio.lowlevel.wait_readable(self._pidfd)
            kill_handle(self._pidfd)
        await trio.lowlevel.wait_readable(self._pidfd)
        self._process.wait()
        if self._init_pidfd is None:
            await self._sampler.sweep(self.marker)

    def pids(self) -> list[int]:
        """Return the processes with which the cell ends: the first one, and the init of its namespace."""
        return [self._process.pid, *filter(None, [self._init_pid])]

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
    command: Sequence[str],
    sandbox: Sandbox,
    *,
    marker: str | None = None,
    scratch: Path | None = None,
    view: Sequence[str] = EVERYTHING,
    sampler: Sampler | None = None,
) -> AsyncIterator[Cell]:
    """Run `command` in a cell of its own for the length of the block.

    Its standard input is a socket, its output and error streams one pipe. Its processes carry `marker` and
    keep their temporary files in `scratch`, a directory that does not exist yet; both are made up if they are
    not given. In a sandbox they see `view` of the machine, as `host_view` returns it. The machine's `sampler`
    finds them; a cell without one has its own. Leaving the block kills the whole cell, waits until it is
    gone, and removes `scratch`.

    Raises `BrowserLost` when the cell does not start. Also when its processes can't be ended within 5 s, as
    those that wait for a dead disk: its detail then names them, and `scratch` stays, and with that the entry
    of a ledger that lists both.

    The process is started on the event loop's own thread, in about a millisecond: the kernel's
    death signal is tied to the thread that starts it, and a worker thread goes away when idle.
    """
    token = marker or f"{OWNER}.{uuid.uuid4().hex}"
    async with open_scratch(scratch) as folder:
        with _open_lease(token, sandbox):
            async with _open_processes(command, sandbox, token, folder, view, sampler or Sampler()) as cell:
                yield cell


@contextlib.asynccontextmanager
async def open_scratch(wanted: Path | None) -> AsyncIterator[str]:
    """Own a directory for temporary files: a driver that is killed leaves some behind.

    It stays where a process outlives its cell: as long as it is there, the ledger keeps the cell's entry.
    Raises `BrowserLost` when it can't be made.
    """
    try:
        scratch = await finish_in_thread(Purpose.LEDGER, _make_scratch, wanted, within_s=_START_S)
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


def _make_scratch(wanted: Path | None) -> str:
    if wanted is not None:
        wanted.mkdir(mode=0o700)
    scratch = str(wanted) if wanted else tempfile.mkdtemp(prefix="greenroom-")
    try:
        make_places(scratch)
    except BaseException:
        remove_tree(Path(scratch))
        raise
    return scratch


@contextlib.contextmanager
def _open_lease(token: str, sandbox: Sandbox) -> Iterator[None]:
    """Have the cell ended with this process. A PID namespace needs nobody for that."""
    with contextlib.ExitStack() as stack:
        if sandbox is Sandbox.NONE:
            try:
                stack.enter_context(open_lease(token))
            except OSError as exc:
                raise BrowserLost(_NO_START, detail=str(exc)) from exc
        yield


@contextlib.asynccontextmanager
async def _open_processes(
    command: Sequence[str],
    sandbox: Sandbox,
    token: str,
    scratch: str,
    view: Sequence[str],
    sampler: Sampler,
) -> AsyncIterator[Cell]:
    try:
        cell, info = _start(command, sandbox, token, scratch, view, sampler)
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
    command: Sequence[str],
    sandbox: Sandbox,
    token: str,
    scratch: str,
    view: Sequence[str],
    sampler: Sampler,
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
            [*_IGNORING_SIGNALS, *host_cell(sandbox, view, info_write), *command],
            stdin=theirs.fileno(),
            stdout=output_write,
            stderr=output_write,
            env=host_environment(os.environ, marker=token, scratch=scratch),
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
        marker=token,
        sampler=sampler,
        process=process,
        pidfd=pidfd,
        watched_pidfds=[watched_pidfd],
    )
    return cell, trio.lowlevel.FdStream(info_read)


def _end_started(process: "subprocess.Popen[bytes]", token: str) -> None:
    """End and reap a process for which there is no cell yet. Raises `BrowserLost` when it can't be ended."""
    process.kill()
    left = end_marked([token]).get(token, [])
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


async def end_processes(token: str, sampler: Sampler) -> None:
    """Kill the cell `token` until nothing is left of it. To be shielded.

    Raises `BrowserLost` when its processes can't be ended within 5 s.
    """
    if left := await sampler.end(token):
        raise _NotEnded(token, left)


async def _wait_dead(pidfd: int, waiting: trio.CancelScope) -> None:
    await trio.lowlevel.wait_readable(pidfd)
    waiting.cancel(reason="a process has died")
