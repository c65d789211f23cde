"""The host's side of several sessions: launches that are cancelled, and a driver that fails."""

import asyncio
import contextlib
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine

import attrs
import pytest
from playwright.async_api import Error

from greenroom.actors.browser.host import browser as session
from greenroom.actors.browser.host import driver, server
from greenroom.actors.browser.host.browser import BrowserSession, beside
from greenroom.actors.browser.host.document import Sight
from greenroom.actors.browser.host.driver import Driver
from greenroom.actors.browser.host.page import CamoufoxSession
from greenroom.actors.browser.wire import messages
from greenroom.actors.browser.wire.framing import decode_from_host, encode
from greenroom.actors.verdict import LoginReason, Method
from greenroom.actors.verdict.arrival import Arrival
from tests.actors.browser.frame_reader import read_frame
from tests.patience import patience

ANSWERED_S = patience(5)
# Longer than a host takes for what it can answer at once.
A_WHILE_S = 0.1


def launch(session: str, request: int) -> messages.Launch:
    return messages.Launch(
        id=request,
        session=session,
        engine="firefox",
        executable="x",
        profile=session,
        headless=True,
        marker=f"o.{session}",
        scratch="/s",
    )


@attrs.define(eq=False)
class FakeFirefox:
    """What stands in for Playwright and its browsers: a launch ends when it is told to.

    By session: `launching` are the launches that have begun, `launched` ends them, `closed` those that were
    closed.
    """

    launching: set[str] = attrs.field(factory=set)
    launched: defaultdict[str, asyncio.Event] = attrs.field(factory=lambda: defaultdict(asyncio.Event))
    closed: list[str] = attrs.field(factory=list)
    probed: list[str] = attrs.field(factory=list)
    error: Exception | None = None
    lose: dict[str, Callable[[], None]] = attrs.field(factory=dict)

    async def start(self, session: CamoufoxSession) -> None:
        name = session._launch_args["user_data_dir"]
        self.launching.add(name)
        await self.launched[name].wait()
        self.launching.remove(name)
        if self.error is not None:
            raise self.error
        self.lose[name] = session._note_end

    async def probe(self, session: CamoufoxSession) -> None:
        self.probed.append(session._launch_args["user_data_dir"])

    async def close(self, session: CamoufoxSession) -> None:
        self.closed.append(session._launch_args["user_data_dir"])
        session.ended.set()


@pytest.fixture
def firefox(monkeypatch: pytest.MonkeyPatch) -> FakeFirefox:
    """Replace what a host does with the driver. What it does for its sessions stays real."""
    fake = FakeFirefox()
    for name in ("start", "probe", "close"):
        method = getattr(fake, name)
        monkeypatch.setattr(CamoufoxSession, name, lambda session, method=method: method(session))
    return fake


@attrs.define(eq=False)
class Daemon:
    """The other end of a host's connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    driver: Driver
    serving: asyncio.Task[set[str]]

    def say(self, *said: messages.ToHost) -> None:
        """Send frames, all at once."""
        self.writer.write(b"".join(map(encode, said)))

    async def hear(self) -> messages.FromHost:
        """Return the host's next frame."""
        frame = await read_frame(self.reader)
        return decode_from_host(frame)

    async def hears_nothing(self) -> bool:
        """Return whether the host is silent for a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(A_WHILE_S):
                await self.reader.readexactly(1)
            return False
        return True

    async def hang_up(self) -> set[str]:
        """Close the connection; return the markers of browsers that may still run."""
        self.writer.close()
        return await self.serving


@contextlib.asynccontextmanager
async def open_daemon() -> AsyncIterator[Daemon]:
    """Connect to a host that is ready."""
    ours, theirs = socket.socketpair()
    drivers = Driver()
    serving = asyncio.create_task(server.serve(theirs, drivers))
    reader, writer = await asyncio.open_connection(sock=ours)
    daemon = Daemon(reader, writer, drivers, serving)
    assert await daemon.hear() == messages.Ready(version=messages.PROTOCOL_VERSION)
    try:
        yield daemon
    finally:
        await daemon.hang_up()


def converse(conversation: Callable[[Daemon], Coroutine[None, None, None]]) -> None:
    """Run a test's side of the connection to a host, with a time limit."""

    async def run() -> None:
        async with asyncio.timeout(ANSWERED_S), open_daemon() as daemon:
            await conversation(daemon)

    asyncio.run(run())


async def until(is_so: Callable[[], object]) -> None:
    """Let the host run until a condition holds."""
    while not is_so():
        await asyncio.sleep(0)


@pytest.mark.parametrize("error", [None, RuntimeError("no browser")], ids=["launched", "failed"])
def test_discard_during_a_launch_is_answered_when_that_has_ended(
    firefox: FakeFirefox, error: Exception | None
) -> None:
    """The driver can't cancel a launch. Only the launch's end shows that no more processes will come."""

    async def conversation(daemon: Daemon) -> None:
        firefox.error = error
        daemon.say(launch("a", 1), launch("b", 2))
        await until(lambda: firefox.launching == {"a", "b"})
        daemon.say(messages.Discard(id=3, session="a"))
        assert await daemon.hear() == messages.Failed(id=1, session="a", detail="given up")
        assert await daemon.hears_nothing()
        firefox.launched["a"].set()
        assert await daemon.hear() == messages.Done(id=3, session="a")
        assert firefox.closed == ([] if error else ["a"])
        assert firefox.launching == {"b"}

    converse(conversation)


def test_launch_given_up_and_then_discarded_is_waited_for(firefox: FakeFirefox) -> None:
    """The cancelled launch is answered at once. The discard takes care of its browser."""

    async def conversation(daemon: Daemon) -> None:
        daemon.say(launch("a", 1))
        await until(lambda: firefox.launching)
        daemon.say(messages.Cancel(session="a", id=1))
        assert await daemon.hear() == messages.Failed(id=1, session="a", detail="given up")
        daemon.say(messages.Discard(id=2, session="a"))
        assert await daemon.hears_nothing()
        firefox.launched["a"].set()
        assert await daemon.hear() == messages.Done(id=2, session="a")
        assert firefox.closed == ["a"]

    converse(conversation)


def test_launch_and_discard_in_one_breath_leave_nothing(firefox: FakeFirefox) -> None:
    """The discard is only answered once the launch's outcome is known."""

    async def conversation(daemon: Daemon) -> None:
        daemon.say(launch("a", 1), messages.Cancel(session="a", id=1), messages.Discard(id=2, session="a"))
        firefox.launched["a"].set()
        while (reply := await daemon.hear()).session == "a" and reply != messages.Done(id=2, session="a"):
            assert reply == messages.Failed(id=1, session="a", detail="given up")
        assert not firefox.launching
        assert await daemon.hears_nothing()
        assert len(firefox.closed) == len(firefox.lose)

    converse(conversation)


def test_discarded_browser_is_closed_once_and_not_reported_as_lost(firefox: FakeFirefox) -> None:
    """The daemon itself is killing it, so its end is not reported, and its session is then unknown."""

    async def conversation(daemon: Daemon) -> None:
        firefox.launched["a"].set()
        daemon.say(launch("a", 1))
        assert await daemon.hear() == messages.Done(id=1, session="a")
        daemon.say(messages.Discard(id=2, session="a"))
        assert await daemon.hear() == messages.Done(id=2, session="a")
        firefox.lose["a"]()
        assert await daemon.hears_nothing()
        daemon.say(messages.Discard(id=3, session="a"), messages.Navigate(id=4, session="a"))
        assert await daemon.hear() == messages.Done(id=3, session="a")
        assert await daemon.hear() == messages.Failed(id=4, session="a", detail="KeyError: 'a'")
        assert firefox.closed == ["a"]

    converse(conversation)


def test_lost_browser_is_reported_once_and_alone(firefox: FakeFirefox) -> None:
    """The other session stays, and the following discard is answered at once."""

    async def conversation(daemon: Daemon) -> None:
        for number, name in enumerate(("a", "b")):
            firefox.launched[name].set()
            daemon.say(launch(name, number))
            assert await daemon.hear() == messages.Done(id=number, session=name)
        firefox.lose["a"]()
        firefox.lose["a"]()
        assert await daemon.hear() == messages.Lost(session="a", detail="the browser is gone")
        daemon.say(messages.Discard(id=3, session="a"))
        assert await daemon.hear() == messages.Done(id=3, session="a")
        daemon.say(messages.Ping(id=4, session="b"))
        assert await daemon.hear() == messages.Done(id=4, session="b")
        assert firefox.probed == ["b"]
        assert await daemon.hang_up() == {"o.b"}

    converse(conversation)


def test_ping_for_a_session_that_is_launching_is_answered_at_once(firefox: FakeFirefox) -> None:
    """A long launch is not a stall. Once it is done, the browser itself has to answer."""

    async def conversation(daemon: Daemon) -> None:
        daemon.say(launch("a", 1))
        await until(lambda: firefox.launching)
        daemon.say(messages.Ping(id=2, session="a"), messages.Ping(id=3, session="b"), messages.Ping(id=4))
        replies = [await daemon.hear() for _ in range(3)]
        assert replies == [
            messages.Done(id=2, session="a"),
            messages.Done(id=3, session="b"),
            messages.Done(id=4),
        ]
        assert firefox.probed == []
        firefox.launched["a"].set()
        assert await daemon.hear() == messages.Done(id=1, session="a")
        daemon.say(messages.Ping(id=5, session="a"))
        assert await daemon.hear() == messages.Done(id=5, session="a")
        assert firefox.probed == ["a"]

    converse(conversation)


def test_host_that_is_hung_up_on_names_the_browsers_that_may_run(firefox: FakeFirefox) -> None:
    """Browsers that are still launching are included; released ones are not."""

    async def conversation(daemon: Daemon) -> None:
        firefox.launched["gone"].set()
        daemon.say(launch("gone", 1))
        assert await daemon.hear() == messages.Done(id=1, session="gone")
        daemon.say(messages.Discard(id=2, session="gone"), launch("a", 3), launch("b", 4))
        assert await daemon.hear() == messages.Done(id=2, session="gone")
        await until(lambda: firefox.launching == {"a", "b"})
        assert await daemon.hang_up() == {"o.a", "o.b"}

    converse(conversation)


def test_host_that_is_hung_up_on_during_a_discard_names_the_browser(firefox: FakeFirefox) -> None:
    """A browser that is being discarded may still run, or be starting."""

    async def conversation(daemon: Daemon) -> None:
        daemon.say(launch("a", 1))
        await until(lambda: firefox.launching)
        daemon.say(messages.Discard(id=2, session="a"))
        assert await daemon.hear() == messages.Failed(id=1, session="a", detail="given up")
        assert await daemon.hang_up() == {"o.a"}

    converse(conversation)


def test_launch_given_up_in_one_breath_gets_its_reply(firefox: FakeFirefox) -> None:
    """There is exactly one reply, even if the request is cancelled before it has begun."""

    async def conversation(daemon: Daemon) -> None:
        daemon.say(launch("a", 1), messages.Cancel(session="a", id=1))
        assert await daemon.hear() == messages.Failed(id=1, session="a", detail="given up")

    converse(conversation)


def test_driver_that_does_not_start_is_the_loss_of_the_host(
    firefox: FakeFirefox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that can't launch anything takes no more sessions."""

    class NoPlaywright:
        async def start(self) -> None:
            raise OSError("no more processes")

    monkeypatch.setattr(driver, "async_playwright", NoPlaywright)

    async def conversation(daemon: Daemon) -> None:
        daemon.driver.start_soon()
        assert await daemon.hear() == messages.Lost(
            session="", detail="the browser driver died, or does not start"
        )

    converse(conversation)


def test_hosts_own_ping_during_a_launch_is_answered_by_the_driver(
    firefox: FakeFirefox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent or broken driver is the host's fault; otherwise the launch would time out much later."""

    async def conversation(daemon: Daemon) -> None:
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def probe(_driver: Driver) -> None:
            await asyncio.shield(asked)

        monkeypatch.setattr(Driver, "probe", probe)
        daemon.say(messages.Ping(id=1))
        assert await daemon.hear() == messages.Done(id=1)
        daemon.say(launch("a", 2))
        await until(lambda: firefox.launching)
        daemon.say(messages.Ping(id=3))
        assert await daemon.hears_nothing()
        asked.set_exception(OSError("broken"))
        assert await daemon.hear() == messages.Failed(id=3, detail="OSError: broken")

    converse(conversation)


def test_page_that_is_too_long_is_not_sent(firefox: FakeFirefox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver serves all sessions, so a page that is too long never passes through it."""

    async def say_nothing(_session: CamoufoxSession, _asked: str) -> Sight:
        return Sight(Arrival(is_proven=True), None)

    monkeypatch.setattr(CamoufoxSession, "look", say_nothing)

    async def conversation(daemon: Daemon) -> None:
        firefox.launched["a"].set()
        daemon.say(launch("a", 1))
        assert await daemon.hear() == messages.Done(id=1, session="a")
        daemon.say(messages.Inspect(id=2, session="a", method=Method.HTML, selectors={}))
        found = await daemon.hear()
        assert isinstance(found, messages.Found)
        assert [evidence.reason for evidence in found.finding.evidence] == [LoginReason.UNREADABLE]

    converse(conversation)


def test_dead_driver_is_the_loss_of_the_host(firefox: FakeFirefox) -> None:
    """All browsers depend on the driver, so the report names none of them."""

    async def conversation(daemon: Daemon) -> None:
        daemon.say(launch("a", 1))
        await until(lambda: firefox.launching)
        daemon.driver.lost.set()
        assert await daemon.hear() == messages.Lost(
            session="", detail="the browser driver died, or does not start"
        )

    converse(conversation)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://www.tiktok.com/", "https://www.tiktok.com:8443/"),
        ("http://127.0.0.1:8080/a/b?c=d#e", "http://127.0.0.1:8443/"),
        ("https://example.org:8443/login", "https://example.org:8444/"),
        ("https://example.org:8444/login", "https://example.org:8443/"),
        ("http://[::1]:80/", "http://[::1]:8443/"),
        ("http://[2001:DB8::1]:8443/x", "http://[2001:db8::1]:8444/"),
    ],
    ids=["no-port", "other-port", "the-port-itself", "the-second-port", "ipv6", "ipv6-and-the-port"],
)
def test_rehearsal_takes_another_port_of_the_same_host(url: str, address: str) -> None:
    """A browser treats it as the same site but another origin. Nothing else of the URL is used."""
    assert beside(url) == address


@attrs.define(eq=False)
class FakePage:
    """A page on which a load ends as the test says."""

    error: Error | None = None
    hangs: bool = False
    routes: list[object] = attrs.field(factory=list)

    async def route(self, pattern: str, _handler: object) -> None:
        self.routes.append(pattern)

    async def goto(self, _url: str) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    async def evaluate(self, _function: str) -> str:
        return ""

    async def unroute_all(self) -> None:
        self.routes.clear()


async def rehearse(page: FakePage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a session that has that page rehearse."""
    monkeypatch.setattr(session, "_REHEARSAL_S", 0.05)
    browser = BrowserSession(
        launch("a", 1), driver=Driver(), on_lost=lambda _why: None, on_navigated=lambda: None
    )
    browser._scrapling = CamoufoxSession(Driver(), {"headless": True}, on_lost=lambda: None)
    browser._scrapling.page = page  # type: ignore[assignment]
    await browser.rehearse("https://example.org/")


@pytest.mark.parametrize("error", [None, Error("NS_ERROR_FAILURE")], ids=["works", "fails"])
def test_rehearsal_leaves_nothing_in_the_networks_place(
    error: Error | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the rehearsal works or not, the next page is the site's own."""
    page = FakePage(error=error)
    asyncio.run(rehearse(page, monkeypatch))
    assert page.routes == []


def test_rehearsal_that_hangs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's stand-in would stay in place, so the browser is of no more use."""
    with pytest.raises(TimeoutError):
        asyncio.run(rehearse(FakePage(hangs=True), monkeypatch))
