"""Sessions that share a browser host: what happens to one's browser doesn't affect the others."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from greenroom.actors.browser.cells.marks import end_marked, own_processes, pids_of
from greenroom.actors.browser.client import browser as adapter
from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.client.host import BrowserHost
from greenroom.actors.errors import BrowserLost, EngineUnavailable
from greenroom.actors.ledger import Ledger, open_ledger
from tests.actors.browser.scripted_hosts import (
    GONE,
    PUPPET,
    SANDBOXES,
    STALLED_S,
    assert_lost,
    lose_patience,
    script_hosts,
    seen_by_host,
    until_seen,
)
from tests.cancelling import cancelled_at_step
from tests.patience import patience


@contextlib.asynccontextmanager
async def open_host(
    folder: Path, script: str = PUPPET, *, sandbox: str = "auto", ledger: Ledger | None = None
) -> AsyncIterator[BrowserHost]:
    """Open a host that runs a script. Check at the end that nothing is left of it or its sessions."""
    hosts = script_hosts(folder, script, sandbox=sandbox, ledger=ledger)
    with trio.fail_after(patience(20)):
        async with hosts.open_host("host-1") as host:
            yield host
    assert own_processes() == []


def processes_of(browser: ScraplingFetcherAdapter) -> list[int]:
    """Return the processes of a session's browser."""
    return pids_of(browser.marker)


@pytest.mark.parametrize("sandbox", SANDBOXES)
@pytest.mark.parametrize(
    ("command", "why"),
    [
        (
            "handlers['Ping'] = lambda m: m.session and done(m)",
            f"^the host did not answer for {STALLED_S:g} seconds$",
        ),
        ("os.kill(os.getpid(), 19)", f"did not answer for {STALLED_S:g} seconds$"),
        ("os._exit(1)", GONE),
        ("tell('Lost', session='', detail='the browser driver died')", "^the browser driver died$"),
    ],
    ids=["own-pings", "stopped", "dies", "gives-up"],
)
async def test_host_that_is_lost_takes_all_its_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, why: str, sandbox: str
) -> None:
    """All of them get the same reason, and no browser outlives its session."""
    lose_patience(monkeypatch)
    async with open_host(tmp_path, sandbox=sandbox) as host, host.open_browser("b") as b:
        async with host.open_browser("a") as a:
            for browser in (a, b):
                await browser.launch(tmp_path, headless=True)
            with contextlib.suppress(BrowserLost):
                await a.navigate(command)
            with pytest.raises(BrowserLost):
                await b.wait_lost()
            for browser in (a, b):
                await assert_lost(browser, why)
        assert processes_of(a) == []
        async with host.open_browser("late") as late:
            await assert_lost(late, why)
    assert processes_of(b) == []


async def test_session_that_never_asked_for_a_launch_sends_no_discard(tmp_path: Path) -> None:
    """There is nothing to discard. A session that has launched, or tried to, sends a discard."""
    async with open_host(tmp_path) as host, host.open_browser("b") as b:
        async with host.open_browser("idle") as idle:
            await idle.navigate("pass")
        async with host.open_browser("launched") as launched:
            await launched.launch(tmp_path, headless=True)
        await b.navigate(
            "handlers['Launch'] = lambda m: tell('Failed', id=m.id, session=m.session, detail='x')"
        )
        async with host.open_browser("failed") as failed:
            with pytest.raises(EngineUnavailable):
                await failed.launch(tmp_path, headless=True)
        seen = await seen_by_host(b)
    assert [request for request in seen if request.startswith("Discard")] == [
        "Discard launched",
        "Discard failed",
    ]


async def test_launch_cancelled_before_the_host_is_ready_is_never_sent(tmp_path: Path) -> None:
    """When the host comes up, there is nothing of the session to discard."""
    gate = tmp_path / "gate"
    script = PUPPET.replace("\nready()\n", f"\nwhile not os.path.exists({str(gate)!r}): pass\nready()\n")
    assert script != PUPPET
    async with open_host(tmp_path, script) as host, host.open_browser("b") as b:
        with trio.move_on_after(0.1) as limit:
            async with host.open_browser("a") as a:
                await a.launch(tmp_path, headless=True)
        assert limit.cancelled_caught
        gate.touch()
        assert await seen_by_host(b) == ["Navigate b"]


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_host_that_does_not_discard_a_session_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: str
) -> None:
    """Such a host may still start something, so it ends. The other session learns why; nothing is left."""
    monkeypatch.setattr(adapter, "_RELEASE_S", 0.3)
    async with open_host(tmp_path, sandbox=sandbox) as host, host.open_browser("b") as b:
        await b.launch(tmp_path, headless=True)
        async with host.open_browser("a") as a:
            await a.launch(tmp_path, headless=True)
            await b.navigate("handlers['Discard'] = lambda m: None")
        assert pids_of(host.cell.marker) == []
        assert processes_of(a) == []
        await assert_lost(b, "^the host did not release a session for 0.3 seconds$")


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_process_started_just_before_the_discard_is_killed(tmp_path: Path, sandbox: str) -> None:
    """Even a launch that succeeds at the last moment leaves no browser. The other session goes on."""
    async with open_host(tmp_path, sandbox=sandbox) as host, host.open_browser("b") as b:
        await b.launch(tmp_path, headless=True)
        own = processes_of(b)
        async with host.open_browser("a") as a:
            await a.launch(tmp_path, headless=True)
            assert processes_of(a) != []
            await b.navigate("handlers['Discard'] = lambda m: (start(markers['a']), done(m))")
        assert processes_of(a) == []
        assert processes_of(b) == own != []
        await b.navigate("handlers['Discard'] = done")


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_launch_that_ends_only_with_its_processes_is_ended(tmp_path: Path, sandbox: str) -> None:
    """A launch may start process after process, so they are killed until the host confirms the discard."""
    hold = """
def hold(message):
    for _ in range(3):
        start(markers["a"]).wait()
    done(message)
handlers["Discard"] = hold
"""
    async with open_host(tmp_path, sandbox=sandbox) as host, host.open_browser("b") as b:
        await b.launch(tmp_path, headless=True)
        own = processes_of(b)
        with trio.fail_after(patience(3)):
            async with host.open_browser("a") as a:
                await a.launch(tmp_path, headless=True)
                await b.navigate(hold)
        assert processes_of(a) == []
        await b.navigate("handlers['Discard'] = done")
        assert processes_of(b) == own != []


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_cancelled_launch_leaves_no_process(tmp_path: Path, sandbox: str) -> None:
    """The host is told, and any browser that the launch still starts is killed before the block ends."""
    slow = """
def slow(message):
    markers[message.session] = message.marker
handlers["Launch"] = slow
handlers["Discard"] = lambda message: (start(markers["a"]), done(message))
"""
    async with open_host(tmp_path, sandbox=sandbox) as host, host.open_browser("b") as b:
        await b.launch(tmp_path, headless=True)
        own = processes_of(b)
        await b.navigate(slow)

        async def launch_a() -> None:
            with cancelling:
                async with host.open_browser("a") as browser:
                    opened.append(browser)
                    await browser.launch(tmp_path, headless=True)

        cancelling = trio.CancelScope()
        opened: list[ScraplingFetcherAdapter] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(launch_a)
            await until_seen(b, "Launch a")
            cancelling.cancel(reason="a test")
        assert processes_of(opened[0]) == []
        assert processes_of(b) == own != []
        seen = await seen_by_host(b)
        assert [request for request in seen if request.endswith(" a")] == [
            "Launch a",
            "Cancel a",
            "Discard a",
        ]
        await b.navigate("handlers['Discard'] = done")


async def test_launch_cancelled_at_any_checkpoint_leaves_no_process(tmp_path: Path) -> None:
    """Wherever the cancellation strikes, the host stays usable and nothing of the session is left."""
    async with open_host(tmp_path, sandbox="none") as host, host.open_browser("b") as b:
        await b.launch(tmp_path, headless=True)
        own = sorted(process.pid for process in own_processes())
        for step in range(1, 13):
            with cancelled_at_step(step):
                async with host.open_browser(f"a{step}") as a:
                    await a.launch(tmp_path, headless=True)
            assert sorted(process.pid for process in own_processes()) == own, step
            await b.navigate("pass")


async def test_cancelled_session_is_discarded_and_gets_the_confirmation(tmp_path: Path) -> None:
    """A cancellation from outside doesn't end the connection before its sessions are done."""
    closed = False
    with trio.CancelScope() as everything:
        async with open_host(tmp_path) as host, host.open_browser("a") as a:
            await a.launch(tmp_path, headless=True)
            try:
                everything.cancel(reason="a test")
                await trio.lowlevel.checkpoint()
            finally:
                with trio.fail_after(patience(5), shield=True):
                    await a.close()
                    closed = "Close a" in await seen_by_host(a)
    assert closed


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_host_and_sessions_have_entries_while_they_exist(tmp_path: Path, sandbox: str) -> None:
    """After a crash, the next daemon finds each of them with its own marker, and nothing that was gone."""
    async with open_ledger(tmp_path / "state", end_marked) as ledger:

        def listed() -> set[str]:
            return {entry.session for entry in ledger.entries}

        async with (
            open_host(tmp_path, sandbox=sandbox, ledger=ledger) as host,
            ledger.hold("b") as of_b,
            host.open_browser("b", of_b) as b,
        ):
            async with ledger.hold("a") as of_a, host.open_browser("a", of_a) as a:
                for browser in (a, b):
                    await browser.launch(tmp_path, headless=True)
                assert listed() == {"host-1", "a", "b"}
                for entry in ledger.entries:
                    assert pids_of(entry.marker) != []
                    assert await trio.Path(entry.scratch).is_dir()
            assert listed() == {"host-1", "b"}
            await b.navigate("pass")
        assert listed() == set()
        assert [path.name for path in ledger.folder.glob("*.tmp")] == []


async def test_temporary_files_go_with_their_session(tmp_path: Path) -> None:
    """A browser's leftover files are removed with its session, not only with the host."""
    async with open_host(tmp_path) as host, host.open_browser("b") as b:
        async with host.open_browser("a") as a:
            await a.launch(tmp_path, headless=True)
            (a._scratch / "core").touch()
        assert not a._scratch.exists()
        assert b._scratch.is_dir()
        assert host.cell.scratch.is_dir()
        await b.navigate("pass")
