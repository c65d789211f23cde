"""Streams: slow readers stop the sender, the host learns of readers that leave, a loss ends everything."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from greenroom.actors.browser.client.link import WINDOW, HostLink
from greenroom.actors.browser.wire import messages
from greenroom.actors.errors import BrowserLost
from greenroom.actors.testing_hosts import MemoryHost
from tests.actors.browser.memory_links import load, open_link


def content(link: HostLink) -> messages.Perform:
    return messages.Perform(
        id=link.next_id(), session="a", credit=WINDOW, operation='{"kind":"html"}', timeout_s=5
    )


class StreamingHost:
    """A host that sends `pieces` for each request for content, within its credit. `sent` counts them."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces
        self.sent: dict[int, int] = {}
        self.cancelled: list[int] = []
        self.replied: list[int] = []
        self.credit: dict[int, int] = {}
        self._more = trio.Event()

    async def behave(self, host: MemoryHost) -> None:
        await host.ready()
        async with trio.open_nursery() as nursery:
            while True:
                match message := await host.hear():
                    case messages.Perform():
                        self.credit[message.id] = message.credit
                        self.sent[message.id] = 0
                        nursery.start_soon(self._send, host, message)
                    case messages.Credit(id=id_, pieces=pieces):
                        self.credit[id_] += pieces
                        self._wake()
                    case messages.Cancel(id=id_):
                        self.cancelled.append(id_)
                        self._wake()
                    case _:
                        nursery.start_soon(host.done, message)

    def _wake(self) -> None:
        self._more.set()
        self._more = trio.Event()

    async def _send(self, host: MemoryHost, request: messages.Perform) -> None:
        id_ = request.id
        while self.sent[id_] < self.pieces and id_ not in self.cancelled:
            if not self.credit[id_]:
                await self._more.wait()
                continue
            self.credit[id_] -= 1
            number = self.sent[id_]
            self.sent[id_] += 1
            await host.say(messages.Piece(id=id_, session="a"), b"%d;" % number)
        self.replied.append(id_)
        await host.done(request)


async def test_stream_arrives_whole_and_in_order_before_its_reply(autojump_clock: MockClock) -> None:
    """However many pieces there are, one reply follows them."""
    host = StreamingHost(100)
    async with open_link(host.behave) as (link, _):
        async with link.open_stream(content(link), link.loss) as stream:
            assert b"".join([piece async for piece in stream]) == b"".join(b"%d;" % n for n in range(100))
        assert isinstance(stream.reply, messages.Done)
        assert await load(link) == ""
    assert host.cancelled == []


async def test_slow_reader_stops_the_sender_and_nobody_else(autojump_clock: MockClock) -> None:
    """Only as many pieces as the credit allows are under way. Requests and heartbeats go on meanwhile."""
    host = StreamingHost(100)
    async with open_link(host.behave) as (link, _):
        request = content(link)
        async with link.open_stream(request, link.loss) as stream:
            for read in range(5):
                await wait_all_tasks_blocked()
                assert host.sent[request.id] == WINDOW + read
                assert await load(link) == ""
                await trio.sleep(100)
                await anext(stream)
        assert not link.loss.has_happened


async def test_host_is_told_once_that_a_reader_left(autojump_clock: MockClock) -> None:
    """The host cancels the request. Pieces and a reply that are still under way do no harm."""
    host = StreamingHost(100)
    async with open_link(host.behave) as (link, _):
        request = content(link)
        async with link.open_stream(request, link.loss) as stream:
            await anext(stream)
        await wait_all_tasks_blocked()
        assert (host.cancelled, host.replied) == ([request.id], [request.id])
        with trio.move_on_after(1):
            async with link.open_stream(content(link), link.loss):
                await trio.sleep_forever()
        assert await load(link) == ""
        assert len(host.cancelled) == 2


def with_a_stream(
    behave: Callable[[MemoryHost, messages.Perform], Awaitable[object]],
) -> Callable[[MemoryHost], Awaitable[None]]:
    """Return the behaviour of a host that does this when it gets a request for content."""

    async def run(host: MemoryHost) -> None:
        await host.ready()
        while True:
            match message := await host.hear_request():
                case messages.Perform():
                    await behave(host, message)
                case messages.Navigate():
                    await host.say(messages.Piece(id=message.id, session="a"), b"x")
                case _:
                    pass

    return run


async def test_host_that_sends_more_than_its_credit_is_lost(autojump_clock: MockClock) -> None:
    """It has broken the protocol. The excess is not kept."""

    async def flood(host: MemoryHost, request: messages.Perform) -> None:
        for _ in range(WINDOW + 1):
            await host.say(messages.Piece(id=request.id, session="a"), b"x")

    async with open_link(with_a_stream(flood)) as (link, _):
        async with link.open_stream(content(link), link.loss) as stream:
            await link.loss.wait()
            for _ in range(WINDOW + 1):
                with pytest.raises(BrowserLost):
                    await anext(stream)
        assert link.loss.why == "the host sent more of a stream than it may"


async def test_piece_for_a_request_without_credit_loses_the_host(autojump_clock: MockClock) -> None:
    """Only a request for a stream may get one."""

    async def nothing(_host: MemoryHost, _request: messages.Perform) -> None:
        pass

    async with open_link(with_a_stream(nothing)) as (link, _):
        with pytest.raises(BrowserLost):
            await load(link)
        assert link.loss.why == "the host sent more of a stream than it may"


async def test_loss_in_the_middle_of_a_stream_ends_it(autojump_clock: MockClock) -> None:
    """What came before can still be read. Then the reader gets the error, not half of the content."""

    async def die(host: MemoryHost, request: messages.Perform) -> None:
        await host.say(messages.Piece(id=request.id, session="a"), b"x")
        await host.die()

    async with open_link(with_a_stream(die)) as (link, _):
        async with link.open_stream(content(link), link.loss) as stream:
            with pytest.raises(BrowserLost):
                async for _ in stream:
                    pass
        assert stream.reply is None


DEEDS = st.tuples(
    st.sampled_from(["stream", "slow stream", "left stream", "cancelled stream", "request", "cancelled"]),
    st.integers(0, 6),
)


@settings(deadline=None, max_examples=60)
@given(deeds=st.lists(DEEDS, max_size=10), pieces=st.integers(0, 12), dies_at=st.none() | st.integers(0, 8))
def test_any_mixture_ends_with_each_request_answered_once_or_lost(  # noqa: C901  # it is one story
    deeds: list[tuple[str, int]], pieces: int, dies_at: int | None
) -> None:
    """Whatever is streamed, read slowly, abandoned or cancelled, and whenever the host dies."""
    host = StreamingHost(pieces)
    ended: list[str] = []

    async def do(link: HostLink, deed: str, number: int) -> None:
        loss = link.loss
        await trio.sleep(number % 3)
        try:
            with trio.move_on_after(number) if "cancelled" in deed else trio.CancelScope():
                if "stream" not in deed:
                    assert await load(link) == ""
                    return
                async with link.open_stream(content(link), loss) as stream:
                    read = 0
                    async for piece in stream:
                        assert piece == b"%d;" % read
                        read += 1
                        if deed == "left stream" and read > number:
                            return
                        await trio.sleep(number if deed == "slow stream" else 0)
                    assert isinstance(stream.reply, messages.Done)
                    assert read == pieces
        except BrowserLost:
            assert loss.has_happened
        finally:
            ended.append(deed)

    async def watch(link: HostLink) -> None:
        while True:
            for waiting in link._waiting.values():  # there is no public name for what is kept
                kept = waiting.answer_to.statistics()
                assert kept.current_buffer_used <= kept.max_buffer_size <= WINDOW + 1
                assert 0 <= waiting.credit <= WINDOW
            await trio.sleep(0.5)

    async def run() -> None:
        async with open_link(host.behave) as (link, other), trio.open_nursery() as nursery:
            await link.wait_ready()
            nursery.start_soon(watch, link)
            async with trio.open_nursery() as doing:
                for deed, number in deeds:
                    doing.start_soon(do, link, deed, number)
                if dies_at is not None:
                    await trio.sleep(dies_at)
                    await other.die()
            nursery.cancel_scope.cancel(reason="all is done")
            await wait_all_tasks_blocked()
            assert link.loss.has_happened is (dies_at is not None)
            assert link.loss.has_happened or sorted(host.replied) == sorted(host.sent)  # exactly one each

    trio.run(run, clock=MockClock(autojump_threshold=0))
    assert len(ended) == len(deeds)
