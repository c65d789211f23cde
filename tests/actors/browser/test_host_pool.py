"""Hosts that sessions share: which session gets which host, which hosts are kept, and which replaced."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import structlog.testing
import trio

from greenroom.actors.browser.cells.marks import end_marked, own_processes, pids_of
from greenroom.actors.browser.client import pool
from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.client.host import BrowserHost, BrowserHosts
from greenroom.actors.browser.client.pool import HostPool, open_pool
from greenroom.actors.errors import BrowserLost
from greenroom.actors.ledger import open_ledger
from greenroom.actors.machine import sampler
from greenroom.actors.resources import Budget
from tests.actors.browser.scripted_hosts import (
    ENGINE,
    PUPPET,
    SANDBOXES,
    assert_lost,
    script_hosts,
    seen_by_host,
)
from tests.patience import patience

AMPLE = Budget(memory_bytes=1 << 40, processes=1000, disk_bytes=1 << 40)


@contextlib.asynccontextmanager
async def open_puppets(
    folder: Path, *, per_host: int = 2, sandbox: str = "none", budget: Budget = AMPLE
) -> AsyncIterator[HostPool]:
    """Open a pool of puppets. Check at the end that nothing is left of it."""
    hosts = script_hosts(folder, PUPPET, sandbox=sandbox)
    with trio.fail_after(patience(20)):
        async with open_pool(hosts, sessions_per_host=per_host, budget=budget) as opened:
            yield opened
    assert own_processes() == []
    assert opened.ids == frozenset()


async def only_host(hosts: HostPool) -> BrowserHost:
    """Return the only host, once it has started."""
    (member,) = hosts._members
    return await member.wait_open()


async def until_only(hosts: HostPool, wanted: int = 1) -> frozenset[str]:
    """Wait until the pool has `wanted` hosts; return their ids. Ending a host takes some time."""
    while len(hosts.ids) != wanted:
        await trio.sleep(0.01)
    return hosts.ids


def host_of(browser: ScraplingFetcherAdapter) -> str:
    """Return the id of the host that a session is in."""
    return browser._link.host


async def test_first_host_is_started_before_any_session(tmp_path: Path) -> None:
    """It is ready by the time the first session comes, which then gets it."""
    async with open_puppets(tmp_path) as hosts:
        host = await only_host(hosts)
        await host.link.wait_ready()
        assert hosts.ids == {host.link.host}
        async with hosts.open_browser("a") as a:
            assert host_of(a) == host.link.host
            await a.navigate("pass")


async def test_session_comes_to_the_fullest_host_that_has_a_place(tmp_path: Path) -> None:
    """Hosts are filled one after the other, so there are no more of them than needed."""
    async with open_puppets(tmp_path, per_host=3) as hosts, contextlib.AsyncExitStack() as sessions:

        async def enter(name: str) -> str:
            return host_of(await sessions.enter_async_context(hosts.open_browser(name)))

        async with hosts.open_browser("leaves first"), hosts.open_browser("leaves too"):
            first = await enter("a")
            second = await enter("b")
            assert await enter("c") == second != first
            assert hosts.ids == {first, second}
        assert await enter("d") == second
        assert await enter("e") == first
        assert await enter("f") == first
        assert await enter("g") not in {first, second}
        assert len(hosts.ids) == 3


async def test_session_for_which_no_host_has_a_place_gets_another(tmp_path: Path) -> None:
    """No host ever has more sessions than allowed, even if all of them come at once."""
    placed: list[str] = []
    everybody_is_in = trio.Event()

    async def stay(name: str) -> None:
        async with hosts.open_browser(name) as browser:
            await browser.navigate("pass")
            placed.append(host_of(browser))
            if len(placed) == 5:
                everybody_is_in.set()
            await everybody_is_in.wait()

    async with open_puppets(tmp_path) as hosts, trio.open_nursery() as nursery:
        for name in ("a", "b", "c", "d", "e"):
            nursery.start_soon(stay, name)
        await everybody_is_in.wait()
        assert sorted(placed.count(host) for host in set(placed)) == [1, 2, 2]
        assert hosts.ids == set(placed)


async def test_one_host_is_kept_after_all_sessions_have_left(tmp_path: Path) -> None:
    """The host that is kept takes the next session. The others end with their last session."""
    async with open_puppets(tmp_path, per_host=1) as hosts:
        async with hosts.open_browser("a") as a, hosts.open_browser("b"), hosts.open_browser("c") as c:
            assert len(hosts.ids) == 3
            await c.navigate("pass")
        (kept,) = await until_only(hosts)
        assert kept != host_of(a)
        async with hosts.open_browser("d") as d:
            assert host_of(d) == kept
            await d.navigate("pass")
        assert hosts.ids == {kept}


async def test_host_that_is_ending_takes_no_session(tmp_path: Path) -> None:
    """A session that comes just then gets a host that lasts."""
    async with open_puppets(tmp_path, per_host=1) as hosts:
        async with hosts.open_browser("a") as a:
            async with hosts.open_browser("b"), hosts.open_browser("c") as c:
                pass
            assert host_of(c) in hosts.ids
        kept = host_of(c)
        ended = host_of(a)
        assert ended in hosts.ids, "its end takes longer than this"
        async with hosts.open_browser("d") as d, hosts.open_browser("e") as e:
            assert host_of(d) == kept
            assert host_of(e) not in {kept, ended}
            await until_only(hosts, 2)
            for browser in (d, e):
                await browser.navigate("pass")


@pytest.mark.parametrize("command", ["os._exit(1)", "tell('Lost', session='', detail='gives up')"])
async def test_lost_host_is_replaced(tmp_path: Path, command: str) -> None:
    """Its sessions end with it. The next session gets another host, even while those are still leaving."""
    async with open_puppets(tmp_path) as hosts:
        async with hosts.open_browser("a") as a, hosts.open_browser("b") as b:
            with contextlib.suppress(BrowserLost):
                await a.navigate(command)
            with pytest.raises(BrowserLost):
                await b.wait_lost()
            async with hosts.open_browser("c") as c:
                assert host_of(c) != host_of(a) == host_of(b)
                await c.navigate("pass")
                assert await until_only(hosts) == {host_of(c)}
        async with hosts.open_browser("d") as d:
            assert host_of(d) == host_of(c)
            await d.navigate("pass")
        assert hosts.ids == {host_of(c)}


async def test_idle_host_that_is_lost_is_replaced(tmp_path: Path) -> None:
    """Its id goes with it, and the next session gets another."""
    async with open_puppets(tmp_path) as hosts:
        host = await only_host(hosts)
        await host.link.wait_ready()
        host.cell.kill()
        await host.link.loss.wait()
        async with hosts.open_browser("a") as a:
            assert host_of(a) != host.link.host
            await a.navigate("pass")
            assert await until_only(hosts) == {host_of(a)}


async def test_host_that_ran_for_a_while_is_replaced_before_any_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of a host that had run for a while is not a failed start, so another is started at once."""
    monkeypatch.setattr(pool, "LASTED_S", 0)
    async with open_puppets(tmp_path) as hosts:
        host = await only_host(hosts)
        await host.link.wait_ready()
        host.cell.kill()
        await host.link.loss.wait()
        while host.link.host in hosts.ids:
            await trio.sleep(0.01)
        assert len(hosts.ids) == 1


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_host_that_does_not_start_costs_its_session_alone(tmp_path: Path, sandbox: str) -> None:
    """That session gets the error. The next one is a new try, which may succeed."""
    hosts = script_hosts(tmp_path, PUPPET, sandbox=sandbox)
    command = tmp_path / "host"
    broken = attrs.evolve(hosts, host_command=(str(command), *hosts.host_command))
    with trio.fail_after(patience(20)):
        async with open_pool(broken, sessions_per_host=2, budget=AMPLE) as opened:
            for name in ("a", "b"):
                with pytest.raises(BrowserLost, match=r"does not start|was lost"):
                    async with opened.open_browser(name) as browser:
                        await browser.launch(tmp_path, headless=True)
            await until_only(opened, 0)
            command.symlink_to(shutil.which("env") or "/usr/bin/env")
            async with opened.open_browser("c") as c:
                await c.navigate("pass")
            assert opened.ids == {host_of(c)}
    assert own_processes() == []


async def test_host_that_has_served_enough_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves its sessions to their end, takes no more, and ends with the last of them."""
    monkeypatch.setattr(pool, "MAX_SERVED", 2)
    async with open_puppets(tmp_path) as hosts:
        async with hosts.open_browser("a") as a:
            await a.navigate("pass")
        async with hosts.open_browser("b") as b:
            assert host_of(b) == host_of(a)
            async with hosts.open_browser("c") as c:
                assert host_of(c) != host_of(a), "there is a place, but no session may have it any more"
                await b.navigate("pass")
            assert hosts.ids == {host_of(a), host_of(c)}
        assert await until_only(hosts) == {host_of(c)}
        async with hosts.open_browser("d") as d:
            assert host_of(d) == host_of(c)
        assert host_of(d) not in await until_only(hosts), "one is kept ready that still has a place"


async def test_host_over_its_budget_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sessions learn why. Memory used by their browsers is theirs and doesn't count."""
    monkeypatch.setattr(pool, "SAMPLE_S", 0.05)
    budget = attrs.evolve(AMPLE, processes=3)
    async with open_puppets(tmp_path, budget=budget) as hosts:
        async with hosts.open_browser("a") as a, hosts.open_browser("b") as b:
            await a.launch(tmp_path, headless=True)
            await a.navigate("for _ in range(9): spawn(markers['a'])")
            with contextlib.suppress(BrowserLost):
                await a.navigate("for _ in range(3): spawn(os.environ[MARKER])")
            for browser in (a, b):
                with pytest.raises(BrowserLost):
                    await browser.wait_lost()
                await assert_lost(browser, "^The browser host has 4 processes, its budget is 3$")
        async with hosts.open_browser("c") as c:
            await c.navigate("pass")


@pytest.mark.parametrize(
    "error",
    [OSError("Too many open files"), RuntimeError("can't start new thread"), ValueError("unforeseen")],
)
async def test_sample_that_cannot_be_taken_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Without a free file descriptor there is no sample of the host. The next one may succeed."""
    taken = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def fail(*_args: object) -> None:
        token.run_sync_soon(taken.set)
        raise error

    monkeypatch.setattr(pool, "SAMPLE_S", 0.01)
    monkeypatch.setattr(sampler, "measure", fail)
    async with open_puppets(tmp_path) as hosts, hosts.open_browser("a") as a:
        await taken.wait()
        await a.navigate("pass")
        assert hosts.ids == {host_of(a)}


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_pool_that_is_left_leaves_nothing(tmp_path: Path, sandbox: str) -> None:
    """No process, directory or entry of a host or session is left; while they exist, each has all three."""
    async with open_ledger(tmp_path / "state", end_marked) as ledger:
        hosts = attrs.evolve(script_hosts(tmp_path, PUPPET, sandbox=sandbox), ledger=ledger)
        with trio.fail_after(patience(20)):
            async with open_pool(hosts, sessions_per_host=1, budget=AMPLE) as opened:
                async with (
                    ledger.hold("a") as of_a,
                    ledger.hold("b") as of_b,
                    opened.open_browser("a", of_a) as a,
                    opened.open_browser("b", of_b) as b,
                ):
                    for browser in (a, b):
                        await browser.launch(tmp_path, headless=True)
                    assert {entry.session for entry in ledger.entries} == {"a", "b", *opened.ids}
                    assert len(list(ledger.folder.glob("*.tmp"))) == 4
                    for entry in ledger.entries:
                        assert pids_of(entry.marker) != []
                await until_only(opened)
                assert {entry.session for entry in ledger.entries} == opened.ids
                assert len(own_processes()) == len(pids_of(ledger.entries[0].marker))
        assert ledger.entries == ()
        assert list(ledger.folder.glob("*.tmp")) == []
        assert own_processes() == []
        assert opened.ids == frozenset()


@pytest.mark.parametrize("wait_s", [0, 0.001, 0.03], ids=["at-once", "starting", "started"])
@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_pool_cancelled_while_its_first_host_starts_leaves_nothing(
    tmp_path: Path, sandbox: str, wait_s: float
) -> None:
    """A host that has not started yet doesn't appear later either."""
    hosts = script_hosts(tmp_path, PUPPET, sandbox=sandbox)
    with trio.fail_after(patience(10)):
        with trio.move_on_after(wait_s):
            async with open_pool(hosts, sessions_per_host=2, budget=AMPLE) as opened:
                await trio.sleep_forever()
        assert own_processes() == []
        assert opened.ids == frozenset()


async def test_session_cancelled_while_its_host_starts_leaves_its_place(tmp_path: Path) -> None:
    """The host stays for the next session."""
    async with open_puppets(tmp_path, per_host=1) as hosts:
        (starting,) = hosts.ids
        with trio.CancelScope() as scope:
            scope.cancel(reason="a test")
            async with hosts.open_browser("a"):
                pass
        assert scope.cancelled_caught
        async with hosts.open_browser("b") as b:
            assert host_of(b) == starting
            await b.navigate("pass")


async def test_everything_cancelled_lets_sessions_close_politely(tmp_path: Path) -> None:
    """When everything around the pool is cancelled, hosts go on until their sessions are answered."""
    answered: dict[str, list[str]] = {}

    async def live(name: str) -> None:
        async with hosts.open_browser(name) as browser:
            await browser.launch(tmp_path, headless=True)
            try:
                all_live.discard(name)
                if not all_live:
                    everything.cancel(reason="a test")
                await trio.sleep_forever()
            finally:
                with trio.fail_after(patience(5), shield=True):
                    await browser.close()
                    answered[name] = await seen_by_host(browser)

    all_live = {"a", "b", "c"}
    with trio.CancelScope() as everything:
        async with open_puppets(tmp_path) as hosts, trio.open_nursery() as nursery:
            for name in sorted(all_live):
                nursery.start_soon(live, name)
    assert sorted(answered) == ["a", "b", "c"]
    for name, seen in answered.items():
        assert f"Close {name}" in seen
    assert own_processes() == []


async def test_failure_to_start_that_nobody_foresaw_ends_one_host_alone(tmp_path: Path) -> None:
    """The waiting session gets `BrowserLost`. The pool is unharmed."""
    hosts = BrowserHosts(
        engine=ENGINE, sandbox=script_hosts(tmp_path, PUPPET, sandbox="none").sandbox, host_command=("a\0b",)
    )
    with trio.fail_after(patience(10)), structlog.testing.capture_logs() as logs:
        async with open_pool(hosts, sessions_per_host=2, budget=AMPLE) as opened:
            with pytest.raises(BrowserLost) as caught:
                async with opened.open_browser("a"):
                    pass
    assert ("a browser host failed", "error") in [(entry["event"], entry["log_level"]) for entry in logs]
    assert "null byte" in str(caught.value.detail)


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_sessions_in_a_ledger_that_was_made_anew_come_to_hosts_that_see_it(
    tmp_path: Path, sandbox: str
) -> None:
    """A sandboxed host still has the removed folder mounted, so no new session goes to it."""
    async with open_ledger(tmp_path / "state", end_marked) as ledger:
        hosts = attrs.evolve(script_hosts(tmp_path, PUPPET, sandbox=sandbox), ledger=ledger)
        with trio.fail_after(patience(20)):
            async with open_pool(hosts, sessions_per_host=2, budget=AMPLE) as opened:
                await (await only_host(opened)).link.wait_ready()
                before = opened.ids
                shutil.rmtree(tmp_path / "state")
                async with ledger.hold("a") as entry, opened.open_browser("a", entry) as browser:
                    profile = Path(entry.clone)
                    await trio.Path(profile).mkdir()
                    await browser.launch(profile, headless=True)
                    assert browser._link.host not in before
                    shutil.rmtree(profile)
                assert (await until_only(opened)).isdisjoint(before)
    assert own_processes() == []
