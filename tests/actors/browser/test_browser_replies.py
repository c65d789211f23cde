"""How a session handles a host's replies. In memory, in virtual time."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from greenroom.actors.actions.actions import Evaluate
from greenroom.actors.actions.readings import Html, Screenshot
from greenroom.actors.browser.cells.binds import Private
from greenroom.actors.browser.cells.sandbox import Sandbox
from greenroom.actors.browser.client import browser as adapter
from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.wire import messages
from greenroom.actors.browser.wire.framing import MAX_PIECE_BYTES
from greenroom.actors.errors import (
    ActionFailed,
    ActionTimedOut,
    AmbiguousTarget,
    BrowserLost,
    DialogOpen,
    GreenroomError,
    InvalidAction,
    NavigationFailed,
    NoSuchFile,
    NoSuchPage,
    PageCrashed,
    PageGone,
    PageTooLarge,
    StaleRef,
    StorageFailed,
    UpstreamUnreachable,
)
from greenroom.actors.machine import result
from greenroom.actors.machine.ports import Browser
from greenroom.actors.machine.sampler import Sampler
from greenroom.actors.testing import FakeMachine, find_state
from greenroom.actors.testing_hosts import MemoryHost
from greenroom.actors.verdict import LoginState, Method
from tests.actors.browser.memory_links import URL, open_link
from tests.actors.browser.scripted_hosts import ENGINE
from tests.patience import patience

Answer = Callable[[MemoryHost, messages.Request], Awaitable[None]]
Ask = Callable[[], Awaitable[object]]
KINDS = messages.Failure


def reading(browser: Browser) -> Callable[[], Awaitable[bytes]]:
    """Return what reads the page's HTML."""

    async def read() -> bytes:
        return await (await browser.perform(Html(), timeout_s=5)).read()

    return read


@contextlib.asynccontextmanager
async def open_adapter(answer: Answer) -> AsyncIterator[ScraplingFetcherAdapter]:
    """Open the session "a" in a host that answers every request, except heartbeats, with these replies."""

    async def behave(host: MemoryHost) -> None:
        await host.ready()
        while True:
            if not isinstance(message := await host.hear_request(), messages.Cancel | messages.Credit):
                await answer(host, message)

    async with open_link(behave) as (link, _):
        yield ScraplingFetcherAdapter(
            session="a",
            marker="o.a",
            scratch=Path("/nonexistent"),
            driver_folder=Path("/nonexistent"),
            link=link,
            engine=ENGINE,
            proxy=None,
            sandbox=Sandbox.NONE,
            private=Private(),
            sampler=Sampler(),
        )


def failing(kind: messages.Failure, pieces: int = 0) -> Answer:
    async def fail(host: MemoryHost, request: messages.Request) -> None:
        for _ in range(pieces):
            await host.say(messages.Piece(id=request.id, session="a"), b"half a pic")
        detail = "via http://u:p@h " + "x" * 9999
        told = "what the page says to http://u:p@h"
        await host.say(
            messages.Failed(id=request.id, session="a", detail=detail, kind=kind, told=told, matches=3)
        )

    return fail


def unreachable(detail: str) -> Answer:
    async def answer(host: MemoryHost, request: messages.Request) -> None:
        await host.say(messages.Unreachable(id=request.id, session="a", detail=detail))

    return answer


def showing(*pieces: bytes) -> Answer:
    async def show(host: MemoryHost, request: messages.Request) -> None:
        for piece in pieces:
            await host.say(messages.Piece(id=request.id, session="a"), piece)
        await host.done(request)

    return show


async def test_unreachable_page_is_upstream_unreachable(autojump_clock: MockClock) -> None:
    """A page that can't be loaded is not the browser's fault, whether on the first load or on a refresh."""
    async with open_adapter(unreachable("NS_ERROR_NET_RESET")) as browser:
        loads: list[Ask] = [lambda: browser.navigate(URL), browser.refresh, lambda: browser.rehearse(URL)]
        for load in loads:
            with pytest.raises(UpstreamUnreachable, match="NS_ERROR_NET_RESET"):
                await load()
        with pytest.raises(PageGone, match="NS_ERROR_NET_RESET"):
            await browser.inspect(Method.HTML, {})


async def test_failed_request_is_a_lost_browser_with_a_redacted_detail(autojump_clock: MockClock) -> None:
    """The host's error message goes only to the log, redacted and shortened."""
    async with open_adapter(failing(KINDS.BROWSER)) as browser:
        for ask in (
            lambda: browser.navigate(URL),
            lambda: browser.inspect(Method.HTML, {}),
            reading(browser),
        ):
            with pytest.raises(BrowserLost) as caught:
                await ask()
            assert "xxx" not in str(caught.value)
            assert str(caught.value.detail).startswith("via http://***@h xxx")
            assert len(str(caught.value.detail)) <= 2000


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (KINDS.ACTION, ActionFailed),
        (KINDS.TIMEOUT, ActionTimedOut),
        (KINDS.TOO_LARGE, PageTooLarge),
        (KINDS.STALE_REF, StaleRef),
        (KINDS.AMBIGUOUS, AmbiguousTarget),
        (KINDS.UNREACHABLE, NavigationFailed),
        (KINDS.CRASHED, PageCrashed),
        (KINDS.DIALOG, DialogOpen),
        (KINDS.NO_PAGE, NoSuchPage),
        (KINDS.NO_FILE, NoSuchFile),
    ],
)
@pytest.mark.parametrize("pieces", [0, 2])
async def test_failed_action_is_not_a_lost_browser(
    autojump_clock: MockClock, kind: messages.Failure, error: type[GreenroomError], pieces: int
) -> None:
    """It has an error of its own, even if part of a result had come. The session goes on."""
    async with open_adapter(failing(kind, pieces)) as browser:
        with pytest.raises(ActionFailed) as caught:
            await reading(browser)()
        assert type(caught.value) is error
        assert "xxx" not in str(caught.value)
        assert str(caught.value.detail).startswith("via http://***@h xxx")
        assert caught.value.told == "what the page says to http://***@h"
        assert getattr(caught.value, "matches", 3) == 3
        with trio.move_on_after(100):
            await browser.wait_lost()


async def test_result_arrives_as_it_was_sent(autojump_clock: MockClock) -> None:
    """Any bytes arrive unchanged, however they are cut up."""
    async with open_adapter(showing(b"\0\xff", b"{}", b"x" * MAX_PIECE_BYTES)) as browser:
        assert await reading(browser)() == b"\0\xff{}" + b"x" * MAX_PIECE_BYTES
    async with open_adapter(showing()) as browser:
        assert await reading(browser)() == b""


async def test_result_without_end_is_given_up(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host has its own limits, but the daemon doesn't trust it to keep them."""
    monkeypatch.setattr(adapter, "MAX_RESULT_BYTES", 10)
    async with open_adapter(showing(b"12345", b"67890")) as browser:
        assert await reading(browser)() == b"1234567890"
    async with open_adapter(showing(b"12345", b"67890", b"1")) as browser:
        with pytest.raises(PageTooLarge):
            await reading(browser)()


async def test_finding_arrives_as_it_was_made(autojump_clock: MockClock) -> None:
    """The evidence passes through unchanged. A reply of another kind is neither evidence nor a picture."""
    made = attrs.evolve(find_state(Method.DOM, LoginState.LOGGED_IN), viewer="maker", elapsed_ms=1.5)

    async def find(host: MemoryHost, request: messages.Request) -> None:
        await host.say(messages.Found(id=request.id, session="a", finding=made))

    async with open_adapter(find) as browser:
        assert await browser.inspect(Method.DOM, {"logged_in": "#me"}) == made
        with pytest.raises(BrowserLost, match="what it was not asked"):
            await reading(browser)()
    async with open_adapter(showing()) as browser:
        with pytest.raises(BrowserLost, match="does not show its page"):
            await browser.inspect(Method.DOM, {})


async def test_fake_browser_acts_as_told(autojump_clock: MockClock) -> None:
    """It stands in for the adapter in tests of code that uses sessions."""
    machine = FakeMachine(action_s=3)
    async with machine.open_workspace("a") as workspace:
        browser = await workspace.launch(headless=True)
        picture = await browser.perform(Screenshot(), timeout_s=5)
        assert await picture.read() == machine.picture
        assert await reading(browser)() == machine.html
        assert trio.current_time() == 6
        with pytest.raises(ActionTimedOut):
            await browser.perform(Html(), timeout_s=2)
        assert trio.current_time() == 8
        machine.action_error = ActionTimedOut("The page did not answer in time")
        with pytest.raises(ActionTimedOut):
            await reading(browser)()
        browser.crash()
        with pytest.raises(BrowserLost):
            await browser.perform(Screenshot(), timeout_s=5)


@pytest.mark.parametrize(
    "arg", ["\ud800", "x" * (4 << 20), object()], ids=["not-text", "too-long", "no-json"]
)
async def test_action_that_no_frame_can_hold_is_invalid_and_costs_nothing(
    autojump_clock: MockClock, arg: object
) -> None:
    """It is refused before it is sent: the host's other sessions never learn of it."""
    async with open_adapter(showing(b"{}")) as browser:
        with pytest.raises(InvalidAction):
            await browser.perform(Evaluate(expression="1", arg=arg), timeout_s=5)
        assert await reading(browser)() == b"{}"


async def test_host_that_does_not_keep_an_actions_time_is_not_waited_for(autojump_clock: MockClock) -> None:
    """The daemon's own limit is a little longer, and the browser is not lost."""

    async def never(_host: MemoryHost, _request: messages.Request) -> None:
        pass

    async with open_adapter(never) as browser:
        with pytest.raises(ActionTimedOut):
            await browser.perform(Html(), timeout_s=5)
        assert 5 < trio.current_time() < 10


async def test_results_that_nobody_reads_are_bounded_together(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reads nothing of what it asks for can't fill the disk. Dropped results make room."""
    monkeypatch.setattr(adapter, "MAX_RESULT_BYTES", 10)
    async with open_adapter(showing(b"123456")) as browser:
        kept = await browser.perform(Html(), timeout_s=5)
        with pytest.raises(PageTooLarge):
            await browser.perform(Html(), timeout_s=5)
        assert await kept.read() == b"123456"
        del kept
        assert await reading(browser)() == b"123456"


async def test_large_result_that_can_not_be_written_costs_only_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The scratch directory does not exist, as on a disk that is gone. Writing takes a real thread."""
    monkeypatch.setattr(result, "IN_MEMORY_BYTES", 2)
    async with open_adapter(showing(b"123456")) as browser:
        with pytest.raises(StorageFailed):
            await browser.perform(Html(), timeout_s=patience(5))
        monkeypatch.undo()
        assert await reading(browser)() == b"123456"
