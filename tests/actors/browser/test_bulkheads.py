"""An unexpected exception in a task that serves one host ends that host and nothing else."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog.testing
import trio

from greenroom.actors.browser.cells.marks import own_processes
from greenroom.actors.browser.client import link
from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.client.link import HostLink
from greenroom.actors.browser.client.pool import HostPool, open_pool
from greenroom.actors.browser.client.transport import CellTransport
from greenroom.actors.errors import BrowserLost
from greenroom.actors.resources import Budget
from tests.actors.browser.scripted_hosts import PUPPET, script_hosts
from tests.patience import patience

AMPLE = Budget(memory_bytes=1 << 40, processes=1000, disk_bytes=1 << 40)


@attrs.define(eq=False)
class Fault:
    """Raised by a function once it is armed, when it is called for one host's conversation or cell."""

    where: object = None
    armed: trio.Event = attrs.field(factory=trio.Event)

    def strike(self, where: object) -> None:
        """Raise the fault if it is armed for this host."""
        if self.armed.is_set() and where is self.where:
            raise ZeroDivisionError("nobody foresaw this")


@contextlib.asynccontextmanager
async def open_two(
    folder: Path,
) -> AsyncIterator[tuple[HostPool, ScraplingFetcherAdapter, ScraplingFetcherAdapter]]:
    """Own two sessions, each in its own host; none of their processes is left afterwards."""
    with trio.fail_after(patience(20)):
        async with (
            open_pool(
                script_hosts(folder, PUPPET, sandbox="none"), sessions_per_host=1, budget=AMPLE
            ) as hosts,
            hosts.open_browser("a") as a,
            hosts.open_browser("b") as b,
        ):
            await a.navigate("pass")
            await b.navigate("pass")
            yield hosts, a, b
    assert own_processes() == []


@pytest.mark.parametrize("task", ["receive", "watch_process", "log_output", "beat"])
async def test_task_of_a_conversation_that_raises_is_the_loss_of_its_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    """Its session learns why, and the log has it once; the other session and the pool keep running."""
    fault = Fault()
    take, log_line, ping = HostLink._take, HostLink._log_line, HostLink._ping
    wait_died = CellTransport.wait_died

    def failing_take(self: HostLink, message: Any, body: bytes) -> None:
        fault.strike(self)
        take(self, message, body)

    def failing_log_line(self: HostLink, line: bytes) -> None:
        fault.strike(self)
        log_line(self, line)

    async def failing_ping(self: HostLink, session: str, asked: set[str]) -> None:
        fault.strike(self)
        await ping(self, session, asked)

    async def failing_wait(self: CellTransport) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_died, self)
            await fault.armed.wait()
            fault.strike(self)

    monkeypatch.setattr(link, "_HEARTBEAT_S", 0.05)
    match task:
        case "receive":
            monkeypatch.setattr(HostLink, "_take", failing_take)
        case "watch_process":
            monkeypatch.setattr(CellTransport, "wait_died", failing_wait)
        case "log_output":
            monkeypatch.setattr(HostLink, "_log_line", failing_log_line)
        case "beat":
            monkeypatch.setattr(HostLink, "_ping", failing_ping)
    with structlog.testing.capture_logs() as logs:
        async with open_two(tmp_path) as (hosts, a, b):
            fault.where = a._link.transport if task == "watch_process" else a._link
            fault.armed.set()
            with contextlib.suppress(BrowserLost):
                await a.navigate("print('a line', flush=True)")
            with pytest.raises(BrowserLost) as caught:
                await a.wait_lost()
            assert "ZeroDivisionError" in str(caught.value.detail)
            await b.navigate("pass")
            async with hosts.open_browser("c") as c:
                await c.navigate("pass")
    told = [entry for entry in logs if entry["log_level"] == "error"]
    assert [(entry["event"], entry["host"]) for entry in told] == [
        ("a conversation with a browser host failed", a._link.host)
    ]
    assert "nobody foresaw this" in told[0]["detail"]
