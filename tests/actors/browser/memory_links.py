"""Connections to browser hosts in memory, for tests under Trio's autojump clock."""

import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
import trio

from greenroom.actors.browser.client.link import HostLink
from greenroom.actors.browser.client.loss import Loss
from greenroom.actors.browser.wire import messages
from greenroom.actors.errors import BrowserLost
from greenroom.actors.testing_hosts import MemoryHost, memory_host

Behaviour = Callable[[MemoryHost], Awaitable[object]]

URL = "https://example.org/"


async def answer_all(host: MemoryHost) -> None:
    """Answer every request with success."""
    await host.ready()
    while True:
        if not isinstance(message := await host.hear(), messages.Cancel | messages.Credit):
            await host.done(message)


@contextlib.asynccontextmanager
async def open_link(
    behave: Behaviour, *, secrets: Sequence[str] = ()
) -> AsyncIterator[tuple[HostLink, MemoryHost]]:
    """Open a connection, with the session "a" on it, to a host that behaves as told."""
    transport, host = memory_host()
    link = HostLink(host="host-1", transport=transport, secrets=tuple(secrets))
    link.enter("a")
    # Heartbeats go on forever in virtual time, so a test that hangs would not be noticed.
    with trio.fail_after(1000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run)
            nursery.start_soon(_run, behave, host)
            try:
                yield link, host
            finally:
                link.lose("the test is over")
                link.running.cancel(reason="the test is over")
                nursery.cancel_scope.cancel(reason="the test is over")


async def _run(behave: Behaviour, host: MemoryHost) -> None:
    try:
        await behave(host)
    except* (trio.EndOfChannel, trio.BrokenResourceError, trio.ClosedResourceError):
        pass


def navigate(link: HostLink, url: str | None = URL, session: str = "a") -> messages.Navigate:
    """Return a navigation request."""
    return messages.Navigate(id=link.next_id(), session=session, url=url)


async def load(link: HostLink, loss: Loss | None = None, *, url: str = URL, session: str = "a") -> str:
    """Load a page; return the host's reason if it fails, or ""."""
    reply = await link.request(navigate(link, url, session), loss)
    return reply.detail if isinstance(reply, messages.Unreachable | messages.Failed) else ""


async def assert_lost(link: HostLink, why: str) -> None:
    """Fail unless a request under way, a later one and a mere waiter all learn `why` the host was lost."""
    for _ in range(2):
        with pytest.raises(BrowserLost) as caught:
            await load(link)
        assert str(caught.value) == "The browser was lost"
        assert re.search(why, str(caught.value.detail)), caught.value.detail
    await link.loss.wait()
    assert re.search(why, link.loss.why)
