"""The frames that a host still has to send, and their order."""

import asyncio
import contextlib
from collections import deque

import attrs


@attrs.define(eq=False)
class Outbox:
    """Frames on their way to the daemon: replies first, then the streams' pieces in turn.

    A reply waits only for the frame that is being written; a piece also waits for one piece of each other
    stream. Each stream has at most one piece here, so memory doesn't grow with the length of streams.
    """

    _writer: asyncio.StreamWriter
    _replies: deque[bytes] = attrs.field(factory=deque, init=False)
    _pieces: deque[tuple[bytes, asyncio.Event]] = attrs.field(factory=deque, init=False)
    _filled: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def put(self, frame: bytes) -> None:
        """Send a frame ahead of all pieces that are still waiting."""
        self._replies.append(frame)
        self._filled.set()

    async def put_piece(self, frame: bytes) -> None:
        """Send a piece and return once it is written. If cancelled, it is sent whole or not at all."""
        piece = (frame, asyncio.Event())
        self._pieces.append(piece)
        self._filled.set()
        try:
            await piece[1].wait()
        finally:
            with contextlib.suppress(ValueError):  # it has been sent, or is being sent
                self._pieces.remove(piece)

    async def run(self) -> None:
        """Send frames forever. Raises `ConnectionError` if the other side no longer reads."""
        self._writer.transport.set_write_buffer_limits(high=0)  # so that `drain` waits until all is written
        while True:
            while self._replies or self._pieces:
                if self._replies:
                    await self._write(self._replies.popleft())
                else:
                    frame, written = self._pieces.popleft()
                    await self._write(frame)
                    written.set()
            self._filled.clear()
            await self._filled.wait()

    async def _write(self, frame: bytes) -> None:
        self._writer.write(frame)
        await self._writer.drain()
