"""One scan of the machine's processes serves everybody who asks, and what callers can rely on."""

import contextlib
import errno
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from greenroom.actors.browser.cells import marks
from greenroom.actors.browser.cells.marks import end_marked
from greenroom.actors.browser.client.pool import open_pool
from greenroom.actors.machine.sampler import SAMPLE_AGE_S, Sampler, ScanFailed
from greenroom.actors.owner import MARKER, OWNER
from greenroom.actors.resources import Budget, Usage
from tests.actors.browser.scripted_hosts import PUPPET, script_hosts
from tests.actors.ledger.daemons import sleeping, until_shows
from tests.patience import patience

MARK = f"{OWNER}.sampler"
MANY = 40
Go = Callable[[], None]
AMPLE = Budget(memory_bytes=1 << 40, processes=1000, disk_bytes=1 << 40)


@attrs.define(eq=False)
class Scans:
    """The real scans, counted. Each waits for `gate`, is `under_way` meanwhile, and raises `error` if set."""

    count: int = 0
    gate: threading.Event = attrs.field(factory=threading.Event)
    under_way: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))
    error: OSError | None = None

    async def wait_under_way(self) -> None:
        """Wait until one more scan has begun."""
        await trio.to_thread.run_sync(self.under_way.acquire)


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scans]:
    """Count this process's scans from now on."""
    scan, scans = marks.scan, Scans()
    scans.gate.set()

    def counted() -> dict[str, list[int]]:
        scans.count += 1
        scans.under_way.release()
        scans.gate.wait()
        if scans.error is not None:
            raise scans.error
        return scan()

    monkeypatch.setattr(marks, "scan", counted)
    yield scans
    scans.gate.set()


@contextlib.contextmanager
def about_to(script: str, *, marker: str | None = None) -> Iterator[tuple["subprocess.Popen[bytes]", Go]]:
    """Run a shell that waits; yield it and a function that makes it go on with `script`."""
    environ = {**os.environ, **({MARKER: marker} if marker else {})}
    command = ["sh", "-c", f"read _; {script}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environ) as process:
        stdin = process.stdin
        assert stdin is not None
        try:
            yield process, stdin.close
        finally:
            process.kill()


async def test_concurrent_samples_share_a_scan(scans: Scans, mock_clock: MockClock) -> None:
    """However many callers there are, there is one scan in 2 s."""
    sampler = Sampler()
    usages: list[Usage] = []

    async def sample() -> None:
        usages.append(await sampler.measure(MARK, []))

    async def sample_all() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(MANY):
                nursery.start_soon(sample)

    with sleeping(MARK), sleeping(f"{OWNER}.other"):
        await sample_all()
        mock_clock.jump(SAMPLE_AGE_S - 0.01)
        await sample_all()
        assert scans.count == 1
        mock_clock.jump(0.02)
        await sample_all()
        assert scans.count == 2
    assert [usage.processes for usage in usages] == [1] * 3 * MANY
    assert all(usage.memory_bytes > 0 for usage in usages)


async def test_nobody_is_served_by_a_scan_that_had_begun(scans: Scans, mock_clock: MockClock) -> None:
    """A caller that looks for leftovers shares the next scan, which includes what came meanwhile."""
    sampler = Sampler()
    found: list[list[int]] = []

    async def look() -> None:
        found.append(list(await sampler.pids(MARK)))

    async with trio.open_nursery() as nursery:
        scans.gate.clear()
        nursery.start_soon(sampler.look)
        await scans.wait_under_way()
        for _ in range(MANY):
            nursery.start_soon(look)
        await wait_all_tasks_blocked()
        with sleeping(MARK) as process:
            scans.gate.set()
            while len(found) < MANY:
                await wait_all_tasks_blocked()
            assert found == [[process.pid]] * MANY
    assert scans.count == 2


async def test_scan_outlives_the_caller_that_started_it(scans: Scans, mock_clock: MockClock) -> None:
    """The next caller in line takes the scan over."""
    sampler = Sampler()
    async with trio.open_nursery() as nursery:
        scans.gate.clear()
        first = trio.CancelScope()

        async def ask_first() -> None:
            with first:
                await sampler.look()

        nursery.start_soon(ask_first)
        await scans.wait_under_way()
        for _ in range(MANY):
            nursery.start_soon(sampler.look)
        await wait_all_tasks_blocked()
        first.cancel(reason="a test")
        await scans.wait_under_way()
        scans.gate.set()
    assert scans.count == 2


async def test_scan_that_fails_is_logged_once_for_all(scans: Scans, mock_clock: MockClock) -> None:
    """Every caller gets the error. The next scan is a new try."""
    sampler = Sampler()
    failures: list[str] = []

    async def sample() -> None:
        try:
            await sampler.measure(MARK, [])
        except ScanFailed as exc:
            failures.append(str(exc))

    async def sample_all() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(MANY):
                nursery.start_soon(sample)

    with capture_logs() as logs:
        scans.error = OSError(errno.EMFILE, "Too many open files")
        await sample_all()
        mock_clock.jump(SAMPLE_AGE_S)
        await sample_all()
        assert (scans.count, len(failures)) == (2, 2 * MANY)
        assert {why.partition("] ")[2] for why in failures} == {"Too many open files"}
        mock_clock.jump(SAMPLE_AGE_S)
        scans.error = None
        await sample_all()
        assert len(failures) == 2 * MANY
    assert [line["event"] for line in logs] == ["processes can't be seen"]


async def test_scan_that_hangs_is_given_up(scans: Scans, mock_clock: MockClock) -> None:
    """After 5 s the callers go on without it. The next caller starts another scan."""
    sampler = Sampler()
    with capture_logs() as logs:
        scans.gate.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_assert_fails, sampler)
            await scans.wait_under_way()
            for _ in range(MANY):
                nursery.start_soon(_assert_fails, sampler)
            await wait_all_tasks_blocked()
            mock_clock.jump(5.01)
            await scans.wait_under_way()
            mock_clock.jump(5.01)
        scans.gate.set()
        assert await sampler.look() is not None
    assert scans.count == 3
    assert [line["event"] for line in logs] == ["processes can't be seen"]


async def _assert_fails(sampler: Sampler) -> None:
    with pytest.raises(ScanFailed):
        await sampler.look()


async def test_leftovers_are_unknown_where_nothing_can_be_seen(
    scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes that can't be seen don't count as gone."""
    monkeypatch.setattr(marks, "REAP_S", 0.1)
    scans.error = OSError(errno.EMFILE, "Too many open files")
    with capture_logs():
        assert await Sampler().end(MARK) == [0]


async def test_process_that_gets_its_marker_later_is_found() -> None:
    """The process was first seen without a marker. On exec it keeps its pid and start time."""
    sampler = Sampler()
    with about_to(f"exec env {MARKER}={MARK} sleep 600") as (process, go):
        assert await sampler.pids(MARK) == ()
        go()
        until_shows(process, MARK)
        assert await sampler.pids(MARK) == [process.pid]
        assert await sampler.end(MARK) == []
        assert process.wait(patience(5)) == -signal.SIGKILL


async def test_pid_of_another_process_by_now_is_not_counted(scans: Scans, mock_clock: MockClock) -> None:
    """A sample uses a scan from a moment ago. The pid may belong to another process since then."""
    sampler = Sampler()
    with about_to("exec env -i else=1 sleep 600", marker=MARK) as (process, go):
        until_shows(process, MARK)
        assert (await sampler.measure(MARK, [])).processes == 1
        go()
        until_shows(process, "else=1")
        assert (await sampler.measure(MARK, [])).processes == 0
        assert scans.count == 1


async def test_sessions_and_hosts_of_a_pool_share_scans(tmp_path: Path, scans: Scans) -> None:
    """Neither sampling many sessions nor ending them together takes a scan for each."""
    hosts = script_hosts(tmp_path, PUPPET, sandbox="none")
    sessions = [f"s{number}" for number in range(8)]
    launched: list[str] = []
    all_sampled, end = trio.Event(), trio.Event()
    looks = 0
    look = Sampler.look

    async def counted_look(sampler: Sampler, *, max_age_s: float = 0) -> object:
        nonlocal looks
        looks += 1
        return await look(sampler, max_age_s=max_age_s)

    async def live(name: str) -> None:
        async with pool.open_browser(name) as browser:
            await browser.launch(tmp_path, headless=True)
            launched.append(name)
            while len(launched) < len(sessions):
                await trio.sleep(0.01)
            assert (await hosts.sampler.measure(browser.marker, [tmp_path])).processes == 1
            sampled.append(name)
            if len(sampled) == len(sessions):
                all_sampled.set()
            await end.wait()

    sampled: list[str] = []
    with trio.fail_after(patience(30)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sampler, "look", counted_look)
        async with open_pool(hosts, sessions_per_host=4, budget=AMPLE) as pool:
            before = scans.count
            started = trio.current_time()
            async with trio.open_nursery() as nursery:
                for name in sessions:
                    nursery.start_soon(live, name)
                await all_sampled.wait()
                # The same scans serve the hosts' own samples, every 5 s.
                assert scans.count - before <= 1 + (trio.current_time() - started) / SAMPLE_AGE_S
                looks, before = 0, scans.count
                end.set()
            assert looks >= 4 * len(sessions)
            assert scans.count - before <= looks / 2


def test_everything_that_a_dead_daemon_left_is_ended_by_the_same_scans(scans: Scans) -> None:
    """Each round of a sweep is one scan, whatever there is to end."""
    markers = [f"{OWNER}.{number}" for number in range(MANY)]
    with sleeping(markers[0]) as one, sleeping(markers[-1]) as other:
        assert end_marked(markers) == {}
        assert [process.wait(patience(5)) for process in (one, other)] == [-signal.SIGKILL] * 2
    # One that finds them, some in which they still show what they were, three that find nothing.
    assert scans.count < MANY / 2
