"""Sessions in one real browser host: each ends by itself, the host with all of them, and nothing stays."""

import contextlib
import functools
from collections.abc import AsyncIterator
from typing import Any

import attrs
import psutil
import pytest
import structlog.testing
import trio

from actors.browser import ScraplingFetcherAdapter, own_processes
from actors.browser.cells import Cell
from actors.browser.client.transport import CellTransport
from actors.browser.marks import census
from actors.errors import ActionTimedOut, BrowserLost
from actors.lifecycle import EndReason
from actors.verdict import LoginState, Method, decide
from supervisor.world import RealWorld, open_world
from tests.real.conftest import clones_in
from web.settings import DaemonSettings

pytestmark = pytest.mark.browser

# Launches take about 1.5 s: before the first process, between the first and the last, and after that.
DELAYS_S = (0, 0.1, 0.4, 0.9, 1.8)
# Where a rehearsal shows its page, if the port is not the site's own.
REHEARSAL_PORT = 8443
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
NEVER_ENDS = b"<p>x<script>addEventListener('load', () => setTimeout(() => { for (;;); }, 500))</script>"


@contextlib.asynccontextmanager
async def open_session(world: RealWorld, session_id: str) -> AsyncIterator[ScraplingFetcherAdapter]:
    """Own a browser that runs on a clone of the logged-in profile."""
    async with (
        world.profiles.open_clone(session_id) as clone,
        world.browsers.open_browser(session_id) as browser,
    ):
        await browser.launch(clone.path, headless=True)
        yield browser


@contextlib.asynccontextmanager
async def open_bounded_world(settings: DaemonSettings, **changes: Any) -> AsyncIterator[RealWorld]:
    """Own a world for the length of a test; nothing is left of it."""
    with trio.fail_after(60):
        async with open_world(attrs.evolve(settings, **changes)) as world:
            yield world
    assert own_processes() == []
    assert clones_in(settings.clones_dir) == []
    assert list(settings.clones_dir.iterdir()) == []


async def assert_logged_in(browser: ScraplingFetcherAdapter, url: str) -> None:
    """Fail unless a page loads and shows the profile's own viewer."""
    await browser.navigate(url)
    found = await browser.inspect(Method.HTML, {})
    assert decide(found.evidence).state is LoginState.LOGGED_IN


def host_cell(browser: ScraplingFetcherAdapter) -> Cell:
    """Return the cell of the host that a browser is in."""
    transport = browser._link.transport
    assert isinstance(transport, CellTransport)
    return transport.cell


def process_of(marker: str, *words: str) -> psutil.Process:
    """Return the one process of a cell with `words` in its command, sandboxes aside."""
    (found,) = (
        process
        for process in map(psutil.Process, census(marker))
        if process.name() != "bwrap" and set(words) <= set(process.cmdline())
    )
    return found


async def test_killed_browser_is_lost_alone(settings: DaemonSettings, site: str) -> None:
    """The other session in its host loads pages before and after the dead one's place is left."""
    async with open_bounded_world(settings) as world, open_session(world, "b") as b:
        async with open_session(world, "a") as a:
            assert a._link is b._link
            process_of(a._marker, "--profile").kill()
            with trio.fail_after(5), pytest.raises(BrowserLost) as caught:
                await a.wait_lost()
            assert (caught.value.reason, caught.value.detail) == (
                EndReason.BROWSER_LOST,
                "the browser is gone",
            )
            with pytest.raises(BrowserLost):
                await a.navigate(f"{site}/")
            await assert_logged_in(b, f"{site}/")
        assert census(a._marker) == []
        assert not a._scratch.exists()
        await assert_logged_in(b, f"{site}/")
        assert len(world.browsers.ids) == 1


@pytest.mark.parametrize("sandbox", ["bubblewrap", "none"])
async def test_killed_host_takes_its_sessions_and_leaves_nothing(
    settings: DaemonSettings, sandbox: str
) -> None:
    """All its browsers end, also where no sandbox ends them, and the next session has a host."""
    async with open_bounded_world(settings, sandbox=sandbox) as world:
        async with open_session(world, "b") as b:
            async with open_session(world, "a") as a:
                assert a._link is b._link
                process_of(host_cell(a)._token, "actors.browser.host").kill()
                for browser in (a, b):
                    with trio.fail_after(5), pytest.raises(BrowserLost):
                        await browser.wait_lost()
            assert census(a._marker) == []
        assert census(b._marker) == []
        assert host_cell(a).census() == []
        for folder in (a._scratch, b._scratch, host_cell(a).scratch):
            assert not folder.exists()
        async with world.browsers.open_browser("c") as c:
            assert c._link is not a._link
            await c.probe()


async def test_launch_cancelled_at_any_time_leaves_no_process(settings: DaemonSettings, site: str) -> None:
    """However far it has come; the session beside it in the same host notices nothing."""
    async with open_bounded_world(settings) as world, open_session(world, "b") as b:
        for number, delay_s in enumerate(DELAYS_S):
            name = f"a{number}"
            async with (
                world.profiles.open_clone(name) as clone,
                contextlib.AsyncExitStack() as stack,
            ):
                a = await stack.enter_async_context(world.browsers.open_browser(name))
                assert a._link is b._link
                with trio.move_on_after(delay_s):
                    await a.launch(clone.path, headless=True)
                await stack.aclose()
                assert census(a._marker) == [], delay_s
                assert not a._scratch.exists()
            await b.navigate(f"{site}/")
        await assert_logged_in(b, f"{site}/")
        assert world.browsers.ids == {b._link.host}


@attrs.define(eq=False)
class Listener:
    """A site that remembers who came: the first bytes of each connection."""

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
    """Listen as a site, on a port which is yielded, and where its rehearsal is shown, if that is free."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(functools.partial(trio.serve_listeners, site.serve, listeners))
        with contextlib.suppress(OSError):
            others = await trio.open_tcp_listeners(REHEARSAL_PORT, host="127.0.0.1")
            nursery.start_soon(functools.partial(trio.serve_listeners, beside.serve, others))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_rehearsal_asks_nobody(settings: DaemonSettings, site: str) -> None:
    """It reaches neither the site nor its own address; the page that follows is the site's, with cookies."""
    asked, beside = Listener(), Listener()
    with structlog.testing.capture_logs() as logs:
        async with (
            open_listeners(asked, beside) as port,
            open_bounded_world(settings) as world,
            open_session(world, "a") as a,
        ):
            for scheme in ("https", "http"):
                await a.rehearse(f"{scheme}://127.0.0.1:{port}/path")
            await trio.sleep(0.5)  # what a browser asks for by itself, an icon for one, comes a little later
            assert (asked.heard, beside.heard) == ([], [])
            await a.navigate(f"http://127.0.0.1:{port}/path")
            head = asked.heard[0]
            assert head.startswith(b"GET /path ")
            assert b"sessionid=" in head
            assert beside.heard == []
            await assert_logged_in(a, f"{site}/")
    assert [entry for entry in logs if "rehearsal failed" in entry.get("line", "")] == []


async def test_page_is_pictured_and_read(settings: DaemonSettings, site: str) -> None:
    """As it is shown, in both formats, and as HTML with what scripts have made of it."""
    async with open_bounded_world(settings) as world, open_session(world, "a") as a:
        await a.navigate(f"{site}/")
        assert (await a.screenshot("png")).startswith(b"\x89PNG\r\n\x1a\n")
        assert (await a.screenshot("jpeg")).startswith(b"\xff\xd8\xff")
        html = (await a.content()).decode()
        assert html.startswith("<html")
        assert html.endswith("</html>")
        assert "maker" in html


async def test_page_that_never_stops_costs_an_action_not_a_session(
    settings: DaemonSettings, site: str
) -> None:
    """The session beside it in the same host goes on, and so does its own, on its next page."""
    async with (
        open_listeners(Listener(NEVER_ENDS), Listener()) as port,
        open_bounded_world(settings) as world,
        open_session(world, "a") as a,
        open_session(world, "b") as b,
    ):
        assert a._link is b._link
        await a.navigate(f"http://127.0.0.1:{port}/")
        await trio.sleep(1)  # for the page to begin
        for action in (a.content, functools.partial(a.screenshot, "png")):
            with trio.fail_after(15), pytest.raises(ActionTimedOut):
                await action()
            await assert_logged_in(b, f"{site}/")
        await a.probe()
