"""A cell: the processes of one browser host, or of one browser in it, which all die together.

With bubblewrap the host is the second process of its own PID namespace. The first is bubblewrap's init. When
that dies, the kernel kills everything in the namespace (pid_namespaces(7)) and only then reports the death,
so waiting for one process is waiting for all. `--die-with-parent` ties the namespace to this process.

Without bubblewrap the host's descendants are found by a marker in the environment, which each of them
inherits. Neither ancestry nor process group would do, since Firefox starts its own session and process group.
When this process dies, the host notices the end of its standard input and ends its descendants; if the host
is stopped or hangs, a lease ends them.

A browser's cell is inside its host's and is found by a separate marker, with and without bubblewrap.
"""

import contextlib
import json
import os
import socket
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import attrs
import trio

from greenroom.actors.browser.cells.ending import NotEnded
from greenroom.actors.browser.cells.environment import host_environment
from greenroom.actors.browser.cells.host import EVERYTHING, host_cell
from greenroom.actors.browser.cells.lease import open_lease
from greenroom.actors.browser.cells.marks import end_marked, kill_handle, kill_marked
from greenroom.actors.browser.cells.sandbox import Sandbox
from greenroom.actors.browser.cells.scratch import NO_START, START_S, open_scratch
from greenroom.actors.errors import BrowserLost
from greenroom.actors.machine.sampler import Sampler
from greenroom.actors.owner import OWNER

# Stopping a service can send SIGTERM to all its processes. Ours keep running until the daemon ends them: a
# shell that ignores a signal passes that on to the program it execs, here bubblewrap or the host.
_IGNORING_SIGNALS = ("/bin/sh", "-c", 'trap "" HUP INT TERM; exec "$@"', "sh")
_REAP_S = 5.0
_OUTER_EXIT_S = 0.5


@attrs.define(eq=False)
class Cell:
    """The processes started by `open_cell`, with a socket to the first of them and its output.

    They carry `marker`. `scratch` holds their temporary files, and is removed after them.
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
    _not_ended: "NotEnded | None" = attrs.field(default=None, init=False)

    async def wait_first(self) -> None:
        """Return when the cell's first process, or the init of its namespace, has died.

        Only one task may wait at a time.
        """
        async with trio.open_nursery() as nursery:
            for pidfd in self._watched_pidfds:
                nursery.start_soon(_wait_dead, pidfd, nursery.cancel_scope)

    async def end(self) -> None:
        """Kill the cell's processes and return when none is left. Any task may call it, at any time.

        Raises `BrowserLost`, on every call, if the processes could not be ended within 5 s.
        """
        async with self._ending:
            if not self._has_ended:
                self.kill()
                with trio.move_on_after(_REAP_S, shield=True) as reaping:
                    await self.wait_gone()
                if reaping.cancelled_caught:
                    self._not_ended = NotEnded(self.marker, await self._sampler.survivors(self.marker))
                self._has_ended = True
        if self._not_ended is not None:
            raise self._not_ended

    def kill(self) -> None:
        """Kill the cell's processes. Idempotent, does not wait."""
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
        """Return the processes whose death ends the cell: the first one, and the init of its namespace."""
        return [self._process.pid, *filter(None, [self._init_pid])]

    async def _open_init(self, info: trio.lowlevel.FdStream) -> None:
        """Read bubblewrap's report about the init of the PID namespace, and open handles on the init."""
        report = b""
        try:
            with trio.fail_after(START_S):
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
    """Run `command` in its own cell for the length of the block.

    Its standard input is a socket; its standard output and error are one pipe. Its processes carry `marker`
    and keep their temporary files in `scratch`, a directory that does not exist yet; both are made up if they
    are not given. In a sandbox they see `view` of the machine, as `host_view` returns it. The machine's
    `sampler` finds them; a cell without one has its own. Leaving the block kills the whole cell, waits until
    it is gone, and removes `scratch`.

    Raises `BrowserLost` when the cell does not start. Raises it also when the processes can't be ended within
    5 s, for example because they wait for a dead disk; its detail then names them, and `scratch` stays, and
    with it the ledger entry that lists both.

    The process is started on the event loop's own thread, which takes about a millisecond: the kernel sends
    the death signal when the thread that started the process ends, and a worker thread ends when idle.
    """
    token = marker or f"{OWNER}.{uuid.uuid4().hex}"
    async with open_scratch(scratch) as folder:
        with _open_lease(token, sandbox):
            async with _open_processes(command, sandbox, token, folder, view, sampler or Sampler()) as cell:
                yield cell


@contextlib.contextmanager
def _open_lease(token: str, sandbox: Sandbox) -> Iterator[None]:
    """Make sure that the cell ends with this process. A PID namespace does by itself."""
    with contextlib.ExitStack() as stack:
        if sandbox is Sandbox.NONE:
            try:
                stack.enter_context(open_lease(token))
            except OSError as exc:
                raise BrowserLost(NO_START, detail=str(exc)) from exc
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
        raise BrowserLost(NO_START, detail=str(exc)) from exc
    try:
        async with info:
            if sandbox is Sandbox.BUBBLEWRAP:
                await cell._open_init(info)  # noqa: SLF001  # its own maker
        yield cell
    finally:
        try:
            with trio.CancelScope(shield=True):  # `end` is bounded
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
    """Return a started cell, and the pipe for bubblewrap's report about it.

    Raises `OSError`, leaving nothing behind, or `BrowserLost` when a started process can't be ended.
    """
    with contextlib.ExitStack() as always, contextlib.ExitStack() as on_failure:
        # Our copies of the child's ends are always closed; left open, they'd keep its death from ending ours.
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
            start_new_session=True,  # Ctrl-C in our terminal would reach the cell otherwise
        )
        on_failure.callback(_end_started, process, token)
        pidfd = os.pidfd_open(process.pid)
        on_failure.callback(os.close, pidfd)
        # `wait_first` and `end` may wait at once, and Trio lets only one task wait for a descriptor.
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
    """End and reap a process that has no `Cell` yet. Raises `BrowserLost` when it can't be ended."""
    process.kill()
    left = end_marked([token]).get(token, [])
    try:
        process.wait(_OUTER_EXIT_S)
    except subprocess.TimeoutExpired:
        left = left or [process.pid]  # an exiting process no longer shows its marker
    if left:
        raise NotEnded(token, left)


async def _wait_dead(pidfd: int, waiting: trio.CancelScope) -> None:
    await trio.lowlevel.wait_readable(pidfd)
    waiting.cancel(reason="a process has died")
