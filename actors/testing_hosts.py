"""A browser host without a process, for tests of code that talks to one.

Nothing is buffered: a sender waits until the other side reads, as with a full pipe. Use it with Trio's
autojump clock. The transport satisfies `Transport`, so a type checker notices if it and the real one drift
apart.
"""

import math
from collections import deque

import attrs
import trio
from trio.testing import lockstep_stream_pair

from greenroom.actors.browser.client.transport import Transport
from greenroom.actors.browser.wire import messages
from greenroom.actors.browser.wire.framing import Frame, FrameBuffer, decode_to_host, encode


@attrs.define(eq=False, repr=False)
class MemoryTransport:
    """The daemon's end of a `MemoryHost`. Satisfies `Transport`."""

    _stream: trio.abc.Stream
    _lines: trio.MemoryReceiveChannel[bytes]
    _host: "MemoryHost"
    has_ended: bool = attrs.field(default=False, init=False)

    async def send_all(self, data: bytes) -> None:
        """See `Transport`."""
        await self._stream.send_all(data)

    async def receive_some(self) -> bytes:
        """See `Transport`."""
        return bytes(await self._stream.receive_some(65536))

    async def receive_line(self) -> bytes | None:
        """See `Transport`."""
        async for line in self._lines:
            return line
        return None

    async def wait_died(self) -> None:
        """See `Transport`."""
        await self._host.died.wait()

    async def end(self) -> None:
        """See `Transport`."""
        self.has_ended = True
        await self._host.die()


@attrs.define(eq=False, repr=False)
class MemoryHost:
    """The test's end: it plays the browser host."""

    _stream: trio.abc.Stream
    _lines: trio.MemorySendChannel[bytes]
    died: trio.Event = attrs.field(factory=trio.Event, init=False)
    _saying: trio.StrictFIFOLock = attrs.field(factory=trio.StrictFIFOLock, init=False)
    _buffer: FrameBuffer = attrs.field(factory=FrameBuffer, init=False)
    _heard: deque[Frame] = attrs.field(factory=deque, init=False)

    async def say(self, message: messages.FromHost, body: bytes = b"") -> None:
        """Send a frame. Raises `trio.BrokenResourceError` once the daemon has hung up."""
        await self.say_bytes(encode(message, body))

    async def say_bytes(self, data: bytes) -> None:
        """Send any bytes, even if they are not a frame."""
        async with self._saying:
            await self._stream.send_all(data)

    async def ready(self) -> None:
        """Send `Ready`."""
        await self.say(messages.Ready(version=messages.PROTOCOL_VERSION))

    async def done(self, request: messages.Request) -> None:
        """Say that a request was carried out."""
        await self.say(messages.Done(id=request.id, session=request.session))

    async def hear(self) -> messages.ToHost:
        """Return the next message. Raises `trio.EndOfChannel` once the daemon has hung up."""
        while not self._heard:
            data = await self._stream.receive_some()
            if not data:
                raise trio.EndOfChannel
            self._heard.extend(self._buffer.feed(bytes(data)))
        return decode_to_host(self._heard.popleft())

    async def hear_request(self) -> messages.ToHost:
        """Return the next message that is neither a `Ping` nor a `Discard`; answer those."""
        while isinstance(message := await self.hear(), messages.Ping | messages.Discard):
            await self.done(message)
        return message

    def print(self, line: bytes) -> None:
        """Print a line."""
        self._lines.send_nowait(line)

    async def hang_up(self) -> None:
        """End the conversation."""
        await trio.aclose_forcefully(self._stream)

    async def die(self) -> None:
        """End the conversation, the output and the process."""
        self._lines.close()
        self.died.set()
        await self.hang_up()


def memory_host() -> tuple[Transport, MemoryHost]:
    """Return a host and a transport to it."""
    ours, theirs = lockstep_stream_pair()
    output_to, output = trio.open_memory_channel[bytes](math.inf)
    host = MemoryHost(theirs, output_to)
    return MemoryTransport(ours, output, host), host
