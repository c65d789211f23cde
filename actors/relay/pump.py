"""Carries messages between a client's Playwright and its session's driver, each through the filter."""

import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import attrs
import trio

from greenroom.actors.errors import GreenroomError
from greenroom.actors.machine.ports import MessageTooLarge
from greenroom.actors.relay.attachment import Attachment
from greenroom.actors.relay.filter import Filter, ForeignBrowser, Step
from greenroom.actors.relay.messages import Malformed

# How much of what a client is to get may wait until it reads. A driver never waits for its clients.
MAX_UNREAD_BYTES: Final = 32 << 20


class Client(Protocol):
    """A client's own connection, which carries JSON. One task may send while another receives."""

    async def receive(self) -> bytes:
        """Return the next message. A client that leaves cancels this."""

    async def send(self, message: bytes) -> None:
        """Send a message. A client that leaves cancels this."""


@attrs.frozen
class Farewell:
    """Why a relay is over: a status code of WebSockets (RFC 6455, 7.4.1), and the reason in a few words."""

    code: int
    reason: str


LEFT: Final = Farewell(1000, "the client has left")
OVER: Final = Farewell(1001, "the session has ended")
MALFORMED: Final = Farewell(1007, "not a message of Playwright's protocol")
TOO_SLOW: Final = Farewell(1008, "the client does not read what it is sent")
TOO_LARGE: Final = Farewell(1009, "a message is too large")
BROKEN: Final = Farewell(1011, "the browser's driver speaks another protocol")


async def relay(
    client: Client, attachment: Attachment, *, may_open: Callable[[str], bool], waits: bool = False
) -> Farewell:
    """Carry messages both ways until one side is through with it; return why.

    What the client was to get by then is sent first. `may_open` says whether a page may be sent to a URL.
    While a person has control of the session, calls that act are refused, or wait if the client `waits`.
    """
    filter_ = Filter(
        browser=attachment.driver.browser,
        may_open=may_open,
        may_trace=attachment.driver.may_trace,
        why_held=attachment.why_held,
        waits=waits,
        shared=attachment.shared,
        on_refused=attachment.note_refusal,
    )
    pump = _Pump(client=client, attachment=attachment, filter=filter_)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump.contain, pump.take_calls)
            nursery.start_soon(pump.contain, pump.take_events)
            nursery.start_soon(pump.contain, pump.release_held)
            await pump.contain(pump.send)
            nursery.cancel_scope.cancel(reason="the relay is over")
    finally:
        filter_.release()
    return pump.farewell


@attrs.define(eq=False, kw_only=True)
class _Pump:
    client: Client
    attachment: Attachment
    filter: Filter
    farewell: Farewell = attrs.field(default=OVER, init=False)
    _held: deque[bytes] = attrs.field(factory=deque, init=False)
    _came_to_hold: trio.Event = attrs.field(factory=trio.Event, init=False)
    _outgoing: trio.MemorySendChannel[bytes | Farewell] = attrs.field(init=False)
    _queue: trio.MemoryReceiveChannel[bytes | Farewell] = attrs.field(init=False)
    _unread: int = attrs.field(default=0, init=False)
    _sending: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    def __attrs_post_init__(self) -> None:
        self._outgoing, self._queue = trio.open_memory_channel[bytes | Farewell](math.inf)

    async def contain(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task; what it raises is the end of this relay, and of nothing else."""
        try:
            await task()
        except MessageTooLarge:
            self._finish(TOO_LARGE)
        except Malformed:
            self._finish(MALFORMED)
        except ForeignBrowser:
            self._finish(BROKEN)
        except GreenroomError:  # such as a host that is lost
            self._finish(OVER)

    async def take_calls(self) -> None:
        """Pass on what the client calls, and answer what does not pass."""
        while True:
            step, message = self.filter.from_client(await self.client.receive())
            match step:
                case Step.LEAVE:
                    self._put(message)
                    self._finish(LEFT)
                    return
                case Step.END_SESSION:
                    self._put(message)
                    self._finish(OVER)
                    self.attachment.end_session()  # now: the client may leave as soon as it has its answer
                    return
                case _:
                    await self._pass_on(step, message)

    async def _pass_on(self, step: Step, message: bytes) -> None:
        driver = self.attachment.driver
        match step:
            case Step.FORWARD:
                await driver.send(message)
            case Step.FORWARD_KEEPING_DIALOGS:
                await driver.keep_dialogs()
                await driver.send(message)
            case Step.ANSWER:
                self._put(message)
            case Step.HOLD:
                self._held.append(message)
                self._came_to_hold.set()
            case _:
                pass

    async def release_held(self) -> None:
        """Pass on, in order, what waits for control, whenever programs have it."""
        while True:
            await self._came_to_hold.wait()
            self._came_to_hold = trio.Event()
            while self._held:
                await self.attachment.wait_free()
                await self._pass_on(*self.filter.release_held(self._held.popleft()))
                await trio.lowlevel.checkpoint()

    async def take_events(self) -> None:
        """Take in what the driver sends, whether or not the client reads."""
        while message := await self.attachment.driver.receive():
            try:
                passed = self.filter.from_driver(message)
            except Malformed as exc:  # and not by the client
                raise ForeignBrowser from exc
            if passed:
                self._put(passed)
        self._finish(OVER)

    async def send(self) -> None:
        """Send what the client is to get, up to the farewell."""
        with self._sending:
            async for message in self._queue:
                if isinstance(message, Farewell):
                    self.farewell = message
                    return
                await self.client.send(message)
                self._unread -= len(message)

    def _put(self, message: bytes) -> None:
        self._unread += len(message)
        if self._unread > MAX_UNREAD_BYTES and self._unread > len(message):
            self.farewell = TOO_SLOW
            self._sending.cancel(reason="the client does not read")
        self._outgoing.send_nowait(message)

    def _finish(self, farewell: Farewell) -> None:
        self._outgoing.send_nowait(farewell)
