"""The connection to a browser host: bytes both ways, its process's output, and its death."""

import contextlib
from collections import deque
from typing import Final, Protocol

import attrs
import trio

from greenroom.actors.browser.cells.cell import Cell

MAX_LINE_BYTES: Final = 8192
_TOO_LONG: Final = b"(a line too long to be logged)"
_RECEIVE_BYTES = 65536


class Transport(Protocol):
    """A connection to one host, and its process. Each method is for one task at a time."""

    async def send_all(self, data: bytes) -> None:
        """Send `data`. Raises `trio.BrokenResourceError` if the other side no longer reads."""

    async def receive_some(self) -> bytes:
        """Return the next bytes, or none at the end. Raises `trio.BrokenResourceError`."""

    async def receive_line(self) -> bytes | None:
        """Return the next line that the process prints, or None at the end.

        A line longer than `MAX_LINE_BYTES` is replaced as a whole by a note: a part of it might be a secret
        that can't be recognized any more.
        """

    async def wait_died(self) -> None:
        """Return when the process has died."""

    async def end(self) -> None:
        """Kill the process and everything that it has started; return once nothing is left.

        Unlike the other methods, any task may call this at any time. Raises `BrowserLost` if it can't be
        ended.
        """


@attrs.define(eq=False)
class CellTransport:
    """The connection to the host in a cell. Satisfies `Transport`."""

    cell: Cell
    _lines: "LineReader" = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._lines = LineReader(self.cell.output)

    async def send_all(self, data: bytes) -> None:
        """See `Transport`."""
        await self.cell.socket.send_all(data)

    async def receive_some(self) -> bytes:
        """See `Transport`."""
        return bytes(await self.cell.socket.receive_some(_RECEIVE_BYTES))

    async def receive_line(self) -> bytes | None:
        """See `Transport`."""
        return await self._lines.receive()

    async def wait_died(self) -> None:
        """See `Transport`."""
        await self.cell.wait_first()

    async def end(self) -> None:
        """See `Transport`."""
        await self.cell.end()


@attrs.define(eq=False)
class LineReader:
    """Cuts a process's output into lines, as `Transport.receive_line` returns them."""

    _output: trio.abc.ReceiveStream
    _rest: bytes = attrs.field(default=b"", init=False)
    _lines: deque[bytes] = attrs.field(factory=deque, init=False)
    _is_over: bool = attrs.field(default=False, init=False)

    async def receive(self) -> bytes | None:
        """Return the next line, or None at the end; the last line needs no newline."""
        while not self._lines:
            if self._is_over:
                return None
            chunk = b""
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                chunk = bytes(await self._output.receive_some())
            if chunk:
                *lines, rest = (self._rest + chunk).split(b"\n")
                self._lines.extend(lines)
                self._rest = rest[: MAX_LINE_BYTES + 1]
            else:
                self._is_over = True
                self._lines.append(self._rest)
        line = self._lines.popleft()
        return line if len(line) <= MAX_LINE_BYTES else _TOO_LONG
