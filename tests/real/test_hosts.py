"""Sessions in one real browser host: each ends alone, the host ends with all of them, and nothing is left."""

import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import psutil
import pytest
import structlog.testing
import trio

from greenroom.actors.actions.readings import Html, Reading, Screenshot
from greenroom.actors.browser.cells.marks import own_processes, pids_of
from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.errors import ActionTimedOut, BrowserLost
from greenroom.actors.ledger import Entry
from greenroom.actors.ledger.entry import read_entry
from greenroom.actors.machine.local import LocalMachine
from greenroom.actors.verdict import LoginState, Method, decide
from greenroom.supervisor.machine import open_machine
from greenroom.web.settings import DaemonSettings
from tests.patience import patience
from tests.programs import programs
from tests.real.conftest import clones_in

pytestmark = pytest.mark.browser

# A launch takes about 1.5 s. These times are before its first process, during the launch, and after it.
DELAYS_S = (0, 0.1, 0.4, 0.9, 1.8)
# Where a rehearsal shows its page, unless that is the site's own port.
REHEARSAL_PORT = 8443
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
NEVER_ENDS = b"<p>x<script>addEventListener('load', () => setTimeout(() => { for (;;); }, 500))</script>"


@contextlib.asynccontextmanager
async def open_session(machine: LocalMachine, session_id: str) -> AsyncIterator[ScraplingFetcherAdapter]:
    """Open a browser on a clone of the logged-in profile."""
    async with machine.open_workspace(session_id) as workspace:
        yield await workspace.launch(headless=True)


@contextlib.asynccontextmanager
async def open_bounded_machine(settings: DaemonSettings, **changes: Any) -> AsyncIterator[LocalMachine]:
    """Open a machine and limit how long the test may take. Check at the end that nothing is left of it."""
    with trio.fail_after(patience(60)):
        async with open_machine(attrs.evolve(settings, **changes)) as machine:
            yield machine
    assert own_processes() == []
    assert clones_in(settings.clones_dir) == []
    assert list(settings.clones_dir.iterdir()) == []


async def assert_logged_in(browser: ScraplingFetcherAdapter, url: str) -> None:
    """Fail unless the page loads and shows the profile's own viewer."""
    await browser.navigate(url)
    found = await browser.inspect(Method.HTML, {})
    assert decide(found.evidence).state is LoginState.LOGGED_IN


async def read(browser: ScraplingFetcherAdapter, reading: Reading) -> bytes:
    """Return what is read of the session's page, in two seconds."""
    return await (await browser.perform(reading, timeout_s=2)).read()


def entry_of(settings: DaemonSettings, session_id: str) -> Entry:
    """Return the ledger's entry of a session or host: its marker and its directories."""
    (folder,) = settings.clones_dir.iterdir()
    return read_entry(folder, folder.name, session_id)


def host_of_all(settings: DaemonSettings, machine: LocalMachine) -> Entry:
    """Return the ledger's entry of the only host."""
    (host_id,) = machine.pool.ids
    return entry_of(settings, host_id)


def left_of(entry: Entry) -> tuple[list[int], bool]:
    """Return the processes that are left, and whether temporary files are."""
    return pids_of(entry.marker), Path(entry.scratch).exists()


def process_of(marker: str, *words: str) -> psutil.Process:
    """Return the one process of a cell that has `words` in its command; sandboxes don't count."""
    processes = []
    for pid in pids_of(marker):
        with contextlib.suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    (found,) = (program.process for program in programs(processes) if set(words) <= set(program.words))
    return found


async def test_killed_host_takes_its_sessions_and_leaves_nothing(settings: DaemonSettings) -> None:
    """All its browsers end, even without a sandbox, and the next session gets another host.

    With a sandbox, `test_chaos` shows it.
    """
    async with open_bounded_machine(settings, sandbox="none") as machine:
        async with open_session(machine, "b") as b:
            async with open_session(machine, "a") as a:
                host = host_of_all(settings, machine)
                sessions = [entry_of(settings, name) for name in "ab"]
                process_of(host.marker, "greenroom.actors.browser.host").kill()
                for browser in (a, b):
                    with trio.fail_after(patience(5)), pytest.raises(BrowserLost):
                        await browser.wait_lost()
            assert left_of(sessions[0]) == ([], False)
        for entry in (*sessions, host):
            assert left_of(entry) == ([], False)
        async with open_session(machine, "c") as c:
            await c.probe()
            assert host.session not in machine.pool.ids


async def test_launch_cancelled_at_any_time_leaves_no_process(settings: DaemonSettings, site: str) -> None:
    """The session beside it in the same host is undisturbed, however far the launch had come."""
    async with open_bounded_machine(settings) as machine, open_session(machine, "b") as b:
        host = host_of_all(settings, machine)
        for number, delay_s in enumerate(DELAYS_S):
            name = f"a{number}"
            async with machine.open_workspace(name) as workspace:
                entry = entry_of(settings, name)
                with trio.move_on_after(delay_s):
                    await workspace.launch(headless=True)
                assert machine.pool.ids == {host.session}
            assert left_of(entry) == ([], False), delay_s
            await b.navigate(f"{site}/")
        await assert_logged_in(b, f"{site}/")
        assert machine.pool.ids == {host.session}


@attrs.define(eq=False)
class Listener:
    """A site that remembers the first bytes of each connection."""

    page: bytes = b"<p>x"
    heard: list[bytes] = attrs.field(factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        number = len(self.heard)
        self.heard.append(b"")
        with contextlib.suppress(trio.BrokenResourceError):
            self.heard[number] = await stream.receive_some()
            await stream.send_all(HEAD + self.page)
            await stream.aclose()


@contextlib.asynccontextmanager
async def open_listeners(site: Listener, beside: Listener) -> AsyncIterator[int]:
    """Listen as a site, on the port that is yielded, and at the rehearsal's own address, if that is free."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(functools.partial(trio.serve_listeners, site.serve, listeners))
        with contextlib.suppress(OSError):
            others = await trio.open_tcp_listeners(REHEARSAL_PORT, host="127.0.0.1")
            nursery.start_soon(functools.partial(trio.serve_listeners, beside.serve, others))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_rehearsal_asks_nobody(settings: DaemonSettings, site: str) -> None:
    """A rehearsal contacts neither the site nor its own address. The next page is the site's own."""
    asked, beside = Listener(), Listener()
    with structlog.testing.capture_logs() as logs:
        async with (
            open_listeners(asked, beside) as port,
            open_bounded_machine(settings) as machine,
            open_session(machine, "a") as a,
        ):
            for scheme in ("https", "http"):
                await a.rehearse(f"{scheme}://127.0.0.1:{port}/path")
            await trio.sleep(0.5)  # a browser's own requests, such as for an icon, come a little later
            assert (asked.heard, beside.heard) == ([], [])
            await a.navigate(f"http://127.0.0.1:{port}/path")
            head = asked.heard[0]
            assert head.startswith(b"GET /path ")
            assert b"sessionid=" in head
            assert beside.heard == []
            await assert_logged_in(a, f"{site}/")
    assert [entry for entry in logs if "rehearsal failed" in entry.get("line", "")] == []


async def test_page_that_never_stops_costs_an_action_not_a_session(
    settings: DaemonSettings, site: str
) -> None:
    """The session goes on with its next page, and so does the session beside it in the same host."""
    async with (
        open_listeners(Listener(NEVER_ENDS), Listener()) as port,
        open_bounded_machine(settings) as machine,
        open_session(machine, "a") as a,
        open_session(machine, "b") as b,
    ):
        host_of_all(settings, machine)  # there is only one
        await a.navigate(f"http://127.0.0.1:{port}/")
        await trio.sleep(1)  # so that the page has begun
        for reading in (Html(), Screenshot()):
            with trio.fail_after(patience(15)), pytest.raises(ActionTimedOut):
                await read(a, reading)
            await assert_logged_in(b, f"{site}/")
        await a.probe()
