"""Cells leave nothing behind, whatever happens."""

import contextlib
import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio

from greenroom.actors.browser.cells import cell as cells
from greenroom.actors.browser.cells import marks
from greenroom.actors.browser.cells.cell import Cell, open_cell
from greenroom.actors.browser.cells.ending import end_processes
from greenroom.actors.browser.cells.lease import open_lease
from greenroom.actors.browser.cells.marks import end_marked, own_processes, pids_of
from greenroom.actors.browser.cells.sandbox import Sandbox, SandboxChoice, bubblewrap_problem, choose_sandbox
from greenroom.actors.errors import BrowserLost, SandboxUnavailable
from greenroom.actors.ledger import open_ledger
from greenroom.actors.machine.sampler import Sampler
from greenroom.actors.owner import MARKER, OWNER
from tests.actors.ledger.daemons import sleeping
from tests.cancelling import cancelled_at_step
from tests.patience import patience

MARK = f"{OWNER}.cells"
# Says "up" once two grandchildren live in sessions of their own, and stays.
FAMILY = ("sh", "-c", "setsid sleep 300 & setsid setsid sleep 300 & echo up; sleep 300")
_NEEDS_BUBBLEWRAP = pytest.mark.skipif(bubblewrap_problem() is not None, reason=str(bubblewrap_problem()))


@pytest.fixture(
    params=[pytest.param(Sandbox.BUBBLEWRAP, marks=_NEEDS_BUBBLEWRAP), Sandbox.NONE],
    ids=lambda sandbox: sandbox.value,
)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Return each kind of sandbox that works here."""
    assert isinstance(request.param, Sandbox)
    return request.param


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that leaves a process, a descriptor, or a temporary file."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield
    left = own_processes()
    for process in left:
        process.kill()
    assert left == []
    assert list(temporary.iterdir()) == []


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def commands(processes: Iterable[psutil.Process]) -> list[str]:
    """Return the command lines of those of the processes that still exist."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found


async def wait_up(cell: Cell) -> list[psutil.Process]:
    """Return the processes of a cell that runs `FAMILY`, once it has reported them."""
    with trio.fail_after(patience(10)):
        assert await cell.output.receive_some() == b"up\n"
    return await up()


async def up() -> list[psutil.Process]:
    """Return the processes of a cell that runs `FAMILY`, once all of them run."""
    with trio.fail_after(patience(10)):
        while True:
            processes = own_processes()
            if commands(processes).count("sleep 300") == 3:
                return processes
            await trio.sleep(0.01)


async def read_all(cell: Cell) -> str:
    """Return what the cell's processes print until the last one has closed its output."""
    with trio.fail_after(patience(10)):
        return b"".join([chunk async for chunk in cell.output]).decode()


async def test_left_block_leaves_no_process(sandbox: Sandbox) -> None:
    """Grandchildren in their own sessions end with the cell."""
    async with open_cell(FAMILY, sandbox) as cell:
        assert len(await wait_up(cell)) >= 4
    assert own_processes() == []


async def test_error_in_the_block_leaves_no_process(sandbox: Sandbox) -> None:
    """An error in the block propagates unchanged, after the cell has ended."""
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  # the block is what is tested
        async with open_cell(FAMILY, sandbox) as cell:
            await wait_up(cell)
            raise ZeroDivisionError
    assert own_processes() == []


async def test_cancelled_block_leaves_no_process(sandbox: Sandbox) -> None:
    """Cancellation ends a cell like any other way of leaving the block."""
    with trio.CancelScope() as scope:
        async with open_cell(FAMILY, sandbox) as cell:
            await wait_up(cell)
            scope.cancel(reason="a test")
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert own_processes() == []


async def test_killed_first_process_is_noticed_and_leaves_no_process(sandbox: Sandbox) -> None:
    """When the first process dies, its waiter wakes, and the processes it started die with the cell."""
    async with open_cell(FAMILY, sandbox) as cell:
        await wait_up(cell)
        os.kill(cell._process.pid, signal.SIGKILL)
        with trio.fail_after(patience(2)):
            await cell.wait_first()
    assert own_processes() == []


@_NEEDS_BUBBLEWRAP
async def test_killed_namespace_is_noticed_though_its_sandbox_is_stopped() -> None:
    """The init's death is noticed, although bubblewrap's stopped outer process can't report it."""
    async with open_cell(FAMILY, Sandbox.BUBBLEWRAP) as cell:
        await wait_up(cell)
        outer, init = cell.pids()
        os.kill(outer, signal.SIGSTOP)
        os.kill(init, signal.SIGKILL)
        with trio.fail_after(patience(2)):
            await cell.wait_first()


async def test_want_of_threads_does_not_keep_processes_from_being_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the kernel gives us no thread, processes are ended without one."""

    async def refuse(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("can't start new thread")

    with sleeping(f"{OWNER}.threads") as process:
        monkeypatch.setattr(trio.to_thread, "run_sync", refuse)
        await end_processes(f"{OWNER}.threads", Sampler())
        assert process.wait(patience(5)) == -signal.SIGKILL


@_NEEDS_BUBBLEWRAP
async def test_killed_first_process_takes_a_namespace_along() -> None:
    """The kernel ends the rest of a bubblewrap cell by itself."""
    async with open_cell(FAMILY, Sandbox.BUBBLEWRAP) as cell:
        await wait_up(cell)
        os.kill(cell._process.pid, signal.SIGKILL)
        with trio.fail_after(patience(2)):
            while own_processes():
                await trio.sleep(0.01)


async def test_command_that_ends_is_noticed_and_leaves_no_process(sandbox: Sandbox) -> None:
    """A first process that exits by itself ends the cell, even if a grandchild would stay."""
    command = ("sh", "-c", "setsid sleep 300 & exit 3")
    async with open_cell(command, sandbox) as cell:
        with trio.fail_after(patience(5)):
            await cell.wait_first()
    assert own_processes() == []


async def test_stopped_processes_are_gone_soon(sandbox: Sandbox) -> None:
    """SIGSTOP does not protect any process, not even the sandbox's own."""
    async with open_cell(FAMILY, sandbox) as cell:
        for process in await wait_up(cell):
            process.suspend()
        left_at = trio.current_time()
    assert trio.current_time() - left_at < 3
    assert own_processes() == []


async def test_killed_cell_is_gone_before_the_block_ends(sandbox: Sandbox) -> None:
    """Killing the cell before the block ends, even twice, does no harm."""
    async with open_cell(FAMILY, sandbox) as cell:
        await wait_up(cell)
        cell.kill()
        with trio.fail_after(patience(5)):
            while own_processes():
                await trio.sleep(0.01)
            cell.kill()
            await cell.wait_gone()


async def test_other_cell_is_unharmed(sandbox: Sandbox) -> None:
    """Ending one cell ends only its own processes."""
    async with open_cell(FAMILY, sandbox) as survivor:
        before = await wait_up(survivor)
        async with open_cell(("sh", "-c", "setsid sleep 300 & echo up; sleep 300"), sandbox) as cell:
            assert await cell.output.receive_some() == b"up\n"
        assert set(own_processes()) == set(before)


async def test_environment_is_marked_and_private(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A cell gets a marker, its own directories, and the allowed variables."""
    for name in ("GREENROOM_TOKEN", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "PYTHONHOME"):
        monkeypatch.setenv(name, "/hunter2")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("HOME", "/")
    async with open_cell(("env",), sandbox, scratch=tmp_path / "scratch") as cell:
        environment = dict(line.split("=", 1) for line in (await read_all(cell)).splitlines())
        assert "hunter2" not in str(environment)
        assert environment["LC_TIME"] == "C"
        assert environment["HOME"] == str(cell.scratch / "home")
        assert MARKER in environment
        modes = {stat.S_IMODE(path.stat().st_mode) for path in cell.scratch.iterdir()}
        assert modes == {0o700}


async def test_temporary_directory_is_private_and_goes_with_the_cell(sandbox: Sandbox) -> None:
    """Nobody else can read what the processes leave in TMPDIR, and it is removed with the cell."""
    command = ("sh", "-c", 'mkdir "$TMPDIR/deep"; echo secret > "$TMPDIR/deep/file"; echo "$TMPDIR"')
    async with open_cell(command, sandbox) as cell:
        scratch = trio.Path((await read_all(cell)).strip())
        assert str(scratch.parent) == tempfile.gettempdir()
        assert stat.S_IMODE((await scratch.stat()).st_mode) == 0o700
        assert await (scratch / "deep" / "file").read_text() == "secret\n"
    assert not await scratch.exists()


async def test_cell_is_no_part_of_our_terminal_session(sandbox: Sandbox) -> None:
    """Ctrl-C in the daemon's terminal ends only the daemon, which then ends its browsers politely."""
    async with open_cell(FAMILY, sandbox) as cell:
        sessions = {os.getsid(process.pid) for process in await wait_up(cell)}
    assert os.getsid(0) not in sessions


async def test_standard_input_is_the_socket(sandbox: Sandbox) -> None:
    """The command reads and writes its standard input as a socket, separate from what it prints."""
    async with open_cell(
        ("sh", "-c", "read line; echo got $line >&0; echo noise; echo more >&2"), sandbox
    ) as cell:
        with trio.fail_after(patience(5)):
            await cell.socket.send_all(b"it\n")
            assert await cell.socket.receive_some() == b"got it\n"
            assert await cell.socket.receive_some() == b""
        assert await read_all(cell) == "noise\nmore\n"


async def test_hung_up_socket_is_seen_by_the_command(sandbox: Sandbox) -> None:
    """The cell has no copy of our end: closing it ends the command's input."""
    async with open_cell(("sh", "-c", "cat; echo end"), sandbox) as cell:
        await cell.socket.send_eof()
        assert await read_all(cell) == "end\n"


@pytest.mark.parametrize("command", ["/nonexistent/greenroom-host", "/dev/null"])
async def test_command_that_cant_be_run_is_noticed_at_once(sandbox: Sandbox, command: str) -> None:
    """The program that should exec the command exits, and says why."""
    descriptors = open_descriptors()
    with trio.fail_after(patience(5)):
        async with open_cell((command,), sandbox) as cell:
            assert await cell.socket.receive_some() == b""
            await cell.wait_first()
            assert command in await read_all(cell)
    assert open_descriptors() == descriptors


async def test_signals_to_the_whole_service_end_no_cell(sandbox: Sandbox) -> None:
    """The cell's processes, including the sandbox, keep running until the daemon ends them."""
    async with open_cell(FAMILY, sandbox) as cell:
        before = await wait_up(cell)
        for process in before:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                process.send_signal(number)
        assert set(await up()) == set(before)


async def test_missing_temporary_directory_is_browser_lost(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A machine without room for temporary files starts no host, and the error says so."""
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        with pytest.raises(BrowserLost) as caught:
            async with open_cell(FAMILY, sandbox):
                pytest.fail("nothing started")
    assert "missing" in str(caught.value.detail)


async def test_twenty_cells_leave_no_descriptor(sandbox: Sandbox) -> None:
    """A daemon that runs for months doesn't run out of descriptors."""
    async with open_cell(("true",), sandbox):
        pass  # whatever the first one opens for good
    descriptors = open_descriptors()
    for _ in range(20):
        async with open_cell(("true",), sandbox):
            pass
    assert open_descriptors() == descriptors


async def test_running_out_of_descriptors_is_browser_lost_and_leaves_nothing(sandbox: Sandbox) -> None:
    """Whichever descriptor is one too many, the cell is not started and all others are closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors = open_descriptors()
    lowest_free = os.dup(0)
    os.close(lowest_free)
    failures = 0
    started = False
    for limit in range(lowest_free + 3, lowest_free + 64):  # removing a directory in one takes three
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            async with open_cell(("sleep", "300"), sandbox):
                started = True
        except BrowserLost:
            failures += 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert open_descriptors() == descriptors
        assert own_processes() == []
        if started:
            break
    assert started
    assert failures >= 4


async def test_process_without_a_handle_is_ended_again(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the kernel gives no handle on a process, no cell starts, and the process is ended."""
    descriptors = open_descriptors()

    def refuse(pid: int) -> int:
        raise OSError(errno.ENFILE, "Too many open files in system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", refuse)
        with pytest.raises(BrowserLost) as caught:
            async with open_cell(FAMILY, sandbox):
                pytest.fail("nothing started")
    assert "Too many open files" in str(caught.value.detail)
    assert open_descriptors() == descriptors
    assert own_processes() == []


async def test_cancellation_at_any_checkpoint_leaves_nothing(sandbox: Sandbox) -> None:
    """Starting a cell can be cancelled at each of its awaits."""
    descriptors = open_descriptors()
    reached = False
    step = 0
    while not reached:
        step += 1
        with trio.fail_after(patience(5)), cancelled_at_step(step) as scope:
            async with open_cell(FAMILY, sandbox) as cell:
                reached = True
                scope.cancel(reason="no checkpoint is left to try")
                await cell.wait_first()
        assert scope.cancelled_caught
        assert open_descriptors() == descriptors
        assert own_processes() == []
    assert step > 1


@pytest.fixture
def unkillable(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Make SIGKILL do nothing, as in an uninterruptible sleep, until the yielded patch is undone."""
    kill = subprocess.Popen.kill
    with monkeypatch.context() as patch:
        patch.setattr(cells, "_REAP_S", 0.2)
        patch.setattr(marks, "REAP_S", 0.2)
        patch.setattr(cells, "kill_handle", lambda _: None)
        patch.setattr(marks, "_kill_if_marked", lambda *_: None)
        patch.setattr(
            subprocess.Popen,
            "kill",
            lambda p: kill(p) if "greenroom.actors.browser.cells.lease" in str(p.args) else None,
        )
        yield patch


async def test_cell_that_cant_be_killed_is_reported_and_stays_in_the_ledger(
    sandbox: Sandbox, tmp_path: Path, unkillable: pytest.MonkeyPatch
) -> None:
    """The block ends, and names the processes that don't; the next daemon finds them listed."""
    async with open_ledger(tmp_path / "state", end_marked) as ledger:
        with pytest.raises(BrowserLost, match="could not be ended") as caught:  # noqa: PT012  # as above
            async with (
                ledger.hold("a") as entry,
                open_cell(FAMILY, sandbox, marker=entry.marker, scratch=Path(entry.scratch)) as cell,
            ):
                await wait_up(cell)
                family = pids_of(cell.marker)
        assert str(family) in str(caught.value.detail)
        assert ledger.entries == (entry,)
    unkillable.undo()
    async with open_ledger(tmp_path / "state", end_marked) as ledger:
        cell._process.wait()
        assert own_processes() == []
        assert list((tmp_path / "state").iterdir()) == [ledger.folder]


async def test_start_that_fails_on_a_process_that_cant_be_killed_is_not_held_up(
    sandbox: Sandbox, tmp_path: Path, unkillable: pytest.MonkeyPatch
) -> None:
    """Waiting for such a process is bounded too, and its entry is left to the next daemon."""

    def refuse(pid: int) -> int:
        raise OSError(errno.ENFILE, "Too many open files in system")

    started: list[subprocess.Popen[bytes]] = []

    def start(*args: Any, **kwargs: Any) -> "subprocess.Popen[bytes]":
        started.append(popen(*args, **kwargs))
        return started[-1]

    descriptors = open_descriptors()
    popen = subprocess.Popen
    unkillable.setattr(subprocess, "Popen", start)
    unkillable.setattr(os, "pidfd_open", refuse)
    with pytest.raises(BrowserLost, match="could not be ended") as caught:
        async with open_cell(("sleep", "300"), sandbox, marker=MARK, scratch=tmp_path / "scratch"):
            pytest.fail("nothing started")
    assert (tmp_path / "scratch").is_dir()
    assert open_descriptors() == descriptors
    left = pids_of(MARK)
    assert started[-1].pid in left
    assert all(str(pid) in str(caught.value.detail) for pid in left)
    unkillable.undo()
    assert end_marked([MARK]) == {}
    assert started[-1].wait(patience(5)) == -signal.SIGKILL


PARENT = """
import os, sys, trio
from greenroom.actors.browser.client.host import BrowserHosts
from greenroom.actors.browser.engines import Engine, EngineName
from greenroom.actors.browser.cells.sandbox import Sandbox
from greenroom.actors.browser.cells.cell import open_cell
from pathlib import Path

async def hold_family():
    async with open_cell(sys.argv[2:], Sandbox.BUBBLEWRAP):
        await trio.sleep_forever()

async def hold_host():
    engine = Engine(name=EngineName.FIREFOX, executable=Path(sys.argv[2]), version="1")
    async with BrowserHosts(engine=engine, sandbox=Sandbox.NONE).open_browser("a") as browser:
        await browser.launch(Path(sys.argv[2] + "-profile"), headless=True)

trio.run(hold_host if sys.argv[1] == "host" else hold_family)
"""


@contextlib.contextmanager
def killed_parent(
    tmp_path: Path, arguments: Sequence[str], is_complete: Callable[[list[psutil.Process]], bool]
) -> Iterator[Callable[[], list[psutil.Process]]]:
    """Run `PARENT`, kill it once all its descendants run, and yield a function that finds those left."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    mark = uuid.uuid4().hex

    def alive() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                environ = process.environ()
                if mark in environ.get("TEST_MARK", "") or str(tmp_path) in environ.get("TMPDIR", ""):
                    found.append(process)
        return found

    parent = subprocess.Popen(
        [sys.executable, "-P", str(script), *arguments],
        env=os.environ | {"TEST_MARK": mark, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
    )
    try:
        give_up = time.monotonic() + patience(20)
        while not is_complete(alive()):
            assert time.monotonic() < give_up, commands(alive())
            time.sleep(0.02)
        parent.kill()
        parent.wait()
        yield alive
    finally:
        parent.kill()
        parent.wait()
        for process in alive():
            with contextlib.suppress(psutil.Error):
                process.kill()


def assert_gone(alive: Callable[[], list[psutil.Process]], seconds: float) -> None:
    """Fail unless all processes have ended within `seconds`."""
    give_up = time.monotonic() + patience(seconds)
    while left := alive():
        assert time.monotonic() < give_up, commands(left)
        time.sleep(0.02)


@_NEEDS_BUBBLEWRAP
def test_killed_parent_takes_its_namespaces_along(tmp_path: Path) -> None:
    """A daemon that dies of SIGKILL can't clean up; the kernel does."""

    def is_complete(processes: list[psutil.Process]) -> bool:
        return commands(processes).count("sleep 300") == 3

    with killed_parent(tmp_path, ["family", *FAMILY], is_complete) as alive:
        assert_gone(alive, 2)


def test_killed_parent_takes_its_host_along_without_sandbox(tmp_path: Path) -> None:
    """The host notices the end of its input and ends its cell, even if its browser never answers."""
    browser = tmp_path / "firefox"
    browser.write_text("#!/bin/sh\nsetsid sleep 300 & exec sleep 300\n")
    browser.chmod(0o755)

    def is_complete(processes: list[psutil.Process]) -> bool:
        return commands(processes).count("sleep 300") == 2

    with killed_parent(tmp_path, ["host", str(browser)], is_complete) as alive:
        assert_gone(alive, 2)


def test_killed_parent_takes_its_stopped_host_and_browsers_along_without_sandbox(tmp_path: Path) -> None:
    """A stopped host notices nothing; the lease, whose input only the parent held open, ends everything."""
    browser = tmp_path / "firefox"
    browser.write_text("#!/bin/sh\nsetsid sleep 300 & exec sleep 300\n")
    browser.chmod(0o755)

    def is_complete(processes: list[psutil.Process]) -> bool:
        if commands(processes).count("sleep 300") < 2:
            return False
        for process in processes:
            with contextlib.suppress(psutil.Error):
                if "greenroom.actors.browser.host" in process.cmdline():
                    process.suspend()
        return True

    with killed_parent(tmp_path, ["host", str(browser)], is_complete) as alive:
        assert_gone(alive, 10)


def test_lease_holds_nothing_of_the_daemons_open(tmp_path: Path) -> None:
    """If the lease kept a descriptor of a socket or a lock, that would outlive the daemon."""
    others = set(psutil.Process().children())
    with (tmp_path / "file").open("w") as file, open_lease(MARK):
        os.set_inheritable(file.fileno(), True)
        (holder,) = set(psutil.Process().children()) - others
        descriptors = Path(f"/proc/{holder.pid}/fd")
        assert {path.name for path in descriptors.iterdir()} == {"0", "1", "2"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", Sandbox.NONE),
        pytest.param("auto", Sandbox.BUBBLEWRAP, marks=_NEEDS_BUBBLEWRAP),
        pytest.param("bubblewrap", Sandbox.BUBBLEWRAP, marks=_NEEDS_BUBBLEWRAP),
    ],
)
def test_sandbox_is_taken_where_it_runs(choice: str, expected: Sandbox) -> None:
    """With bubblewrap installed, `auto` uses it."""
    assert choose_sandbox(SandboxChoice(choice)) is expected


@pytest.fixture
def _bubblewrap_asked_anew() -> Iterator[None]:
    """Forget the cached checks of bubblewrap, before and after."""
    bubblewrap_problem.cache_clear()
    yield
    bubblewrap_problem.cache_clear()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (None, "not installed"),
        ("echo 'No permissions to create a new namespace' >&2; exit 1", "No permissions"),
    ],
    ids=["missing", "forbidden"],
)
@pytest.mark.usefixtures("_bubblewrap_asked_anew")
def test_sandbox_that_does_not_run_is_refused_or_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, why: str
) -> None:
    """`auto` works without bubblewrap; requiring it raises an error that says why it does not work."""
    if script is not None:
        (tmp_path / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose_sandbox(SandboxChoice.AUTO) is Sandbox.NONE
    with pytest.raises(SandboxUnavailable, match=why):
        choose_sandbox(SandboxChoice.BUBBLEWRAP)
