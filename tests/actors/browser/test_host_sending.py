"""The host's side of streams: what it sends, in which order, and that it answers each request once."""

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import attrs
import pytest
from playwright.async_api import Error
from playwright.async_api import TimeoutError as TimedOut

from greenroom.actors.actions.actions import Action
from greenroom.actors.actions.readings import Reading, Screenshot
from greenroom.actors.actions.results import PageInfo
from greenroom.actors.browser.host import performing, server
from greenroom.actors.browser.host.browser import BrowserSession
from greenroom.actors.browser.host.driver import Driver
from greenroom.actors.browser.host.encoding import to_json
from greenroom.actors.browser.host.failures import OperationFailed, failure_of
from greenroom.actors.browser.host.outbox import Outbox
from greenroom.actors.browser.host.page import CamoufoxSession
from greenroom.actors.browser.host.performing import Performer
from greenroom.actors.browser.host.reading import Reader, read_html
from greenroom.actors.browser.wire import messages
from greenroom.actors.browser.wire.framing import MAX_PIECE_BYTES, Frame, decode_from_host, encode
from tests.actors.browser.frame_reader import read_frame
from tests.patience import patience

ANSWERED_S = patience(20)
PIECES = 40
BODY = random.Random(1).randbytes(PIECES * MAX_PIECE_BYTES - 7)  # noqa: S311  # as good as any


def launch(name: str, request: int) -> messages.Launch:
    return messages.Launch(
        id=request,
        session=name,
        engine="firefox",
        executable="x",
        profile=name,
        headless=True,
        marker=f"o.{name}",
        scratch="/s",
    )


@attrs.define(eq=False)
class Daemon:
    """The other end of a host's connection, with the sessions "a" and "b"."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, *said: messages.ToHost) -> None:
        self.writer.write(b"".join(map(encode, said)))

    async def hear(self) -> tuple[messages.FromHost, bytes]:
        frame: Frame = await read_frame(self.reader)
        return decode_from_host(frame), frame.body

    async def hear_until(self, id_: int) -> list[messages.FromHost]:
        """Return everything that comes, up to the reply to a request."""
        heard: list[messages.FromHost] = []
        while not heard or isinstance(heard[-1], messages.Piece) or _id(heard[-1]) != id_:
            heard.append((await self.hear())[0])
        return heard


def _id(message: messages.FromHost) -> int:
    assert not isinstance(message, messages.Ready | messages.Lost | messages.Navigated)
    return message.id


@contextlib.asynccontextmanager
async def open_daemon() -> AsyncIterator[Daemon]:
    ours, theirs = socket.socketpair()
    serving = asyncio.create_task(server.serve(theirs, Driver()))
    reader, writer = await asyncio.open_connection(sock=ours, limit=1)  # takes in almost nothing ahead
    daemon = Daemon(reader, writer)
    await daemon.hear()
    try:
        for number, name in enumerate(("a", "b")):
            daemon.say(launch(name, number))
            await daemon.hear()
        yield daemon
    finally:
        writer.close()
        await serving


def converse(conversation: Callable[[Daemon], Coroutine[None, None, None]]) -> None:
    """Run a test's side of the connection to a host, with a time limit."""

    async def run() -> None:
        async with asyncio.timeout(ANSWERED_S), open_daemon() as daemon:
            await conversation(daemon)

    asyncio.run(run())


@pytest.fixture(autouse=True)
def _no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the browser: every launch succeeds, and the page has many bytes."""

    async def start(_session: BrowserSession) -> None:
        pass

    async def perform(_session: BrowserSession, operation: Action | Reading, _timeout_s: float) -> bytes:
        return operation.type.encode() if isinstance(operation, Screenshot) else BODY

    monkeypatch.setattr(BrowserSession, "start", start)
    monkeypatch.setattr(BrowserSession, "perform", perform)


def content(id_: int, name: str = "a", credit: int = PIECES, what: str = "html") -> messages.Perform:
    operation = '{"kind":"screenshot","type":"jpeg"}' if what == "jpeg" else f'{{"kind":"{what}"}}'
    return messages.Perform(id=id_, session=name, credit=credit, operation=operation, timeout_s=5)


def test_result_comes_in_bounded_pieces_and_then_its_reply() -> None:
    """Every byte arrives unchanged."""

    async def conversation(daemon: Daemon) -> None:
        daemon.say(content(5))
        pieces = []
        while isinstance((heard := await daemon.hear())[0], messages.Piece):
            pieces.append(heard[1])
        assert heard[0] == messages.Done(id=5, session="a")
        assert b"".join(pieces) == BODY
        assert [len(piece) for piece in pieces] == [MAX_PIECE_BYTES] * (PIECES - 1) + [MAX_PIECE_BYTES - 7]
        daemon.say(content(6, credit=1, what="jpeg"))
        assert await daemon.hear() == (messages.Piece(id=6, session="a"), b"jpeg")
        assert await daemon.hear() == (messages.Done(id=6, session="a"), b"")

    converse(conversation)


def test_no_piece_is_sent_without_credit() -> None:
    """The next message proves it: no piece was waiting to be sent before it."""

    async def conversation(daemon: Daemon) -> None:
        daemon.say(content(5, credit=2))
        assert [_id((await daemon.hear())[0]) for _ in range(2)] == [5, 5]
        daemon.say(messages.Ping(id=6))
        assert await daemon.hear() == (messages.Done(id=6), b"")
        daemon.say(messages.Credit(id=5, session="a", pieces=PIECES), messages.Credit(id=99, pieces=1))
        assert len(await daemon.hear_until(5)) == PIECES - 2 + 1

    converse(conversation)


@pytest.mark.parametrize("when", ["waits for credit", "is being sent", "has not begun", "is over"])
def test_cancelled_stream_ends_in_one_reply(when: str) -> None:
    """After that nothing more of the stream comes, and the session can do something else."""

    async def conversation(daemon: Daemon) -> None:
        cancel = messages.Cancel(id=5, session="a")
        daemon.say(content(5, credit=1 if when == "waits for credit" else PIECES))
        if when in {"waits for credit", "is being sent"}:
            await daemon.hear()
        elif when == "is over":
            await daemon.hear_until(5)
        daemon.say(cancel, cancel)
        if when != "is over":
            *pieces, reply = await daemon.hear_until(5)
            assert len(pieces) < PIECES
            assert reply == messages.Failed(id=5, session="a", detail="given up")
        daemon.say(content(6))
        assert {_id(message) for message in await daemon.hear_until(6)} == {6}

    converse(conversation)


def test_replies_overtake_a_stream_that_nobody_reads() -> None:
    """A small reply waits only for the few pieces that the kernel already has, and for one more."""

    async def conversation(daemon: Daemon) -> None:
        daemon.say(content(5))
        await daemon.hear()
        await asyncio.sleep(0.1)  # lets the host fill its buffers; a longer wait only makes the test easier
        daemon.say(messages.Ping(id=6, session="b"), messages.Ping(id=7))
        heard = await daemon.hear_until(7)
        assert len(heard) <= 2 + 8
        assert len(await daemon.hear_until(5)) > PIECES / 2

    converse(conversation)


def test_streams_of_two_sessions_take_turns() -> None:
    """Neither stream gets more than a piece ahead of the other."""

    async def conversation(daemon: Daemon) -> None:
        daemon.say(content(5), content(6, "b"))
        heard = [_id((await daemon.hear())[0]) for _ in range(PIECES)]
        assert abs(heard.count(5) - heard.count(6)) <= 2
        assert all(len(set(heard[at : at + 3])) == 2 for at in range(4, PIECES - 4))

    converse(conversation)


def test_outbox_sends_replies_first_and_pieces_in_turn() -> None:
    """Frame by frame: of all that waits, a reply goes first, then the piece that has waited longest."""

    class Writer:
        """Writes when the test lets it."""

        def __init__(self) -> None:
            self.transport = self
            self.written: list[bytes] = []
            self.gate = asyncio.Semaphore(0)

        def set_write_buffer_limits(self, high: int) -> None:
            assert high == 0

        def write(self, frame: bytes) -> None:
            self.written.append(frame)

        async def drain(self) -> None:
            await self.gate.acquire()

    async def run() -> None:
        writer = Writer()
        outbox = Outbox(writer)  # type: ignore[arg-type]  # as much of one as it uses

        async def stream(name: bytes) -> None:
            for number in range(3):
                await outbox.put_piece(name + b"%d" % number)

        tasks = [asyncio.create_task(stream(name)) for name in (b"a", b"b")]
        running = asyncio.create_task(outbox.run())
        for step in range(8):
            await asyncio.sleep(0.01)
            if step == 2:
                outbox.put(b"reply")
            writer.gate.release()
        await asyncio.gather(*tasks)
        running.cancel()
        assert writer.written == [b"a0", b"b0", b"a1", b"reply", b"b1", b"a2", b"b2"]
        given_up = asyncio.create_task(outbox.put_piece(b"given up"))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait([given_up])
        assert not outbox._pieces

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(8))
def test_any_mixture_is_answered_once_each(seed: int) -> None:
    """Streams, credit, cancellations and small requests of two sessions, in any order."""

    async def conversation(daemon: Daemon) -> None:
        chance = random.Random(seed)  # noqa: S311  # likewise
        credit: dict[int, int] = {}
        replies: dict[int, int] = {}
        for id_ in range(10, 60):
            name = chance.choice("ab")
            match chance.randrange(4):
                case 0 | 1:
                    credit[id_] = chance.randint(1, 4)
                    daemon.say(content(id_, name, credit[id_]))
                case 2:
                    daemon.say(messages.Ping(id=id_, session=name))
                case 3:
                    daemon.say(messages.Discard(id=id_, session="nobody"))
            replies[id_] = 0
        open_ = set(replies)
        while open_:
            message, _ = await daemon.hear()
            id_ = _id(message)
            if isinstance(message, messages.Piece):
                assert id_ in open_, "nothing comes after the reply"
                credit[id_] -= 1
                assert credit[id_] >= 0
                if chance.random() < 0.1:
                    daemon.say(messages.Cancel(id=id_))
                credit[id_] += 1
                daemon.say(messages.Credit(id=id_, pieces=1))
            else:
                replies[id_] += 1
                open_.remove(id_)
        daemon.say(messages.Ping(id=1))
        assert await daemon.hear() == (messages.Done(id=1), b"")
        assert set(replies.values()) == {1}

    converse(conversation)


@attrs.define(eq=False)
class FakePage:
    """A page that shows, or fails with, what the test says."""

    shows: object = ""
    error: Exception | None = None
    hangs: bool = False
    is_gone: bool = False

    async def evaluate(self, _function: str, _limit: int) -> object:
        return await self._answer()

    async def screenshot(self, **_options: object) -> object:
        return await self._answer()

    async def _answer(self) -> object:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return self.shows

    def is_closed(self) -> bool:
        return self.is_gone


@pytest.mark.parametrize(
    "shows", [None, {"length": 1}, 7, "x" * 8_000_001], ids=["none", "object", "number", "long"]
)
def test_missing_and_too_long_html_are_told_apart(shows: object) -> None:
    """A page can replace its HTML with anything."""
    with pytest.raises(OperationFailed) as caught:
        asyncio.run(read_html(FakePage(shows)))  # type: ignore[arg-type]  # as much of a page as it uses
    assert caught.value.kind is messages.Failure.TOO_LARGE


def test_lone_surrogate_on_a_page_costs_only_itself() -> None:
    """A lone surrogate can't be encoded in UTF-8."""
    assert asyncio.run(read_html(FakePage("<p>\ud83e fox"))) == b"<p>? fox"  # type: ignore[arg-type]


def test_picture_that_is_too_large_is_not_sent() -> None:
    """This is our own limit, whatever the browser renders."""
    page: Any = FakePage(bytes((24 << 20) + 1))
    nothing: Any = None
    reader = Reader(nothing, page, nothing, Path("/nonexistent"), 1000)
    with pytest.raises(OperationFailed) as caught:
        asyncio.run(reader.read(Screenshot()))
    assert caught.value.kind is messages.Failure.TOO_LARGE


class FakePages:
    """The pages of a session that has only one."""

    def __init__(self, page: FakePage) -> None:
        self.page = page
        self.is_used = False

    def find(self, _name: str | None, *, may_have_crashed: bool) -> FakePage:  # noqa: ARG002  # a fake's
        return self.page

    def dialog_of(self, _page: FakePage) -> None:
        return None


@pytest.mark.parametrize(
    ("page", "is_well", "kind"),
    [
        (FakePage(hangs=True), True, messages.Failure.TIMEOUT),
        (FakePage(error=TimedOut("Timeout 5000ms exceeded")), True, messages.Failure.TIMEOUT),
        (FakePage(error=Error("Unable to capture")), True, messages.Failure.ACTION),
        (FakePage(error=Error("Unable to capture")), False, None),
        (FakePage(error=Error("Page.screenshot: Page crashed")), True, messages.Failure.CRASHED),
        (
            FakePage(error=Error("Page.screenshot: Target page, context or browser has been closed")),
            True,
            messages.Failure.NO_PAGE,
        ),
        (
            FakePage(error=Error("Page.screenshot: Target page, context or browser has been closed")),
            False,
            None,
        ),
    ],
    ids=[
        "hangs",
        "driver's-limit",
        "fails",
        "fails-with-its-browser",
        "crashes",
        "goes",
        "goes-with-browser",
    ],
)
def test_failed_operation_is_not_taken_for_a_lost_browser(
    page: FakePage, is_well: bool, kind: messages.Failure | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None stands for any error that means the browser is of no more use."""
    monkeypatch.undo()
    monkeypatch.setattr(performing, "_PATIENCE_S", 0)

    async def probe(_session: CamoufoxSession) -> None:
        if not is_well:
            raise Error("browser closed")

    monkeypatch.setattr(CamoufoxSession, "probe", probe)

    async def run() -> None:
        browser = BrowserSession(
            launch("a", 1), driver=Driver(), on_lost=lambda _why: None, on_navigated=lambda: None
        )
        browser._scrapling = CamoufoxSession(Driver(), {"headless": True}, on_lost=lambda: None)
        pages: Any = FakePages(page)
        nothing: Any = None
        browser._performer = Performer(pages, nothing, Path("/nonexistent"))
        await browser.perform(Screenshot(), 0.05)

    with pytest.raises(Error if kind is None else OperationFailed) as caught:
        asyncio.run(run())
    assert getattr(caught.value, "kind", None) is kind


@pytest.mark.parametrize(
    "message",
    [
        "Page.evaluate_handle: Error: the crash test failed",
        "Page.evaluate_handle: Error: NS_ERROR_NET_RESET",
        "Page.evaluate_handle: Error: strict mode violation: x resolved to 3 elements",
        "Page.evaluate_handle: Error: the tab has been closed",
    ],
)
def test_words_of_a_page_are_not_taken_for_the_drivers(message: str) -> None:
    """A page may throw an error with any text."""
    assert failure_of(Error(message), 5).kind is messages.Failure.ACTION


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Page.goto: Page crashed", messages.Failure.CRASHED),
        ("Page.goto: NS_ERROR_UNKNOWN_HOST\nCall log: ...", messages.Failure.UNREACHABLE),
        ("Page.reload: NS_ERROR_DOCUMENT_NOT_CACHED", messages.Failure.UNREACHABLE),
        (
            'Locator.click: Error: strict mode violation: locator(".a") resolved to 2 elements:\n 1) <a>',
            messages.Failure.AMBIGUOUS,
        ),
    ],
)
def test_words_of_the_driver_are_understood(message: str, kind: messages.Failure) -> None:
    """As Playwright 1.62 writes them."""
    assert failure_of(Error(message), 5).kind is kind


@pytest.mark.parametrize("error", [OSError("disk"), OverflowError("int"), RecursionError(), KeyError("x")])
def test_error_that_is_not_the_browsers_costs_one_operation(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply says that the action failed, so the session goes on."""

    async def perform(_session: BrowserSession, _operation: Action | Reading, _timeout_s: float) -> bytes:
        raise error

    monkeypatch.setattr(BrowserSession, "perform", perform)

    async def conversation(daemon: Daemon) -> None:
        daemon.say(content(5), content(6, what="not-a-kind"))
        for _ in range(2):
            heard, _body = await daemon.hear()
            assert isinstance(heard, messages.Failed)
            assert heard.kind is messages.Failure.ACTION

    converse(conversation)


def test_lone_surrogates_of_a_page_cost_only_themselves() -> None:
    """They may be in titles, messages, names and values."""
    value = {"title": "\ud83e fox", "list": ["a", 1.5, None, "\udc00"]}
    assert json.loads(to_json(value)) == {"title": "? fox", "list": ["a", 1.5, None, "?"]}
    page = PageInfo(id="p1", url="", title="\ud800")
    assert json.loads(to_json({"page": page}))["page"]["title"] == "?"


def test_snapshot_of_a_page_that_is_still_rendering_is_taken_again() -> None:
    """It has no refs at first."""
    trees = ["", "- text: loading", '- button "Go" [ref=e1]']

    class Rendering:
        async def aria_snapshot(self, **_options: object) -> str:
            return trees.pop(0)

    page: Any = Rendering()
    nothing: Any = None
    reader = Reader(nothing, page, nothing, Path("/nonexistent"), 10_000)
    assert asyncio.run(reader.snapshot()) == '- button "Go" [ref=e1]'
