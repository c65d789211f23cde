"""A connection to the driver that controls a browser: messages over a Unix socket, ended by zero bytes."""

import base64
import contextlib
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import attrs
import trio

from greenroom.actors.browser.wire.messages import Proxy
from greenroom.actors.errors import ActionFailed
from greenroom.actors.machine.ports import MessageTooLarge

# Playwright's own servers take 256 MB, but what is sent in one message is in memory as a whole.
MAX_MESSAGE_BYTES: Final = 32 << 20
_RECEIVE_BYTES = 1 << 18
_CONNECT_S = 5.0
_SOCKET = re.compile(r"browser/[\w@-]{1,80}\.sock", re.ASCII)
_HIDDEN = b"(hidden)"


@attrs.define(eq=False, kw_only=True, repr=False)
class SocketConnection:
    """Satisfies `ports.DriverConnection`. `secrets` are replaced in what is received."""

    browser: str
    may_trace: bool
    _stream: trio.abc.Stream
    _keep_dialogs: Callable[[], Awaitable[None]]
    _secrets: tuple[bytes, ...] = ()
    _received: bytearray = attrs.field(factory=bytearray, init=False)
    _searched: int = attrs.field(default=0, init=False)

    async def send(self, message: bytes) -> None:
        """See `ports.DriverConnection`."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._stream.send_all(message + b"\0")

    async def receive(self) -> bytes:
        """See `ports.DriverConnection`."""
        while (end := self._received.find(b"\0", self._searched)) < 0:
            self._searched = len(self._received)
            if self._searched > MAX_MESSAGE_BYTES:
                raise MessageTooLarge(f"The browser sends a message of more than {MAX_MESSAGE_BYTES} bytes")
            try:
                data = await self._stream.receive_some(_RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return b""
            if not data:
                return b""
            self._received += data
        with memoryview(self._received) as view:
            message = bytes(view[:end])
        del self._received[: end + 1]
        self._searched = 0
        for secret in self._secrets:
            message = message.replace(secret, _HIDDEN)
        return message

    async def keep_dialogs(self) -> None:
        """See `ports.DriverConnection`."""
        await self._keep_dialogs()


@contextlib.asynccontextmanager
async def open_connection(
    folder: Path,
    socket: str,
    browser: str,
    *,
    keep_dialogs: Callable[[], Awaitable[None]],
    proxy: Proxy | None,
) -> AsyncIterator[SocketConnection]:
    """Connect to a driver's `socket`, a path in its `folder`. Raises `ActionFailed` on entering.

    Over WebDriver BiDi, Playwright sends the proxy's credentials as a header of each request, which clients
    can look at; they are taken out.
    """
    if not _SOCKET.fullmatch(socket):
        raise ActionFailed("The browser can't be attached to", detail=f"its driver listens on {socket!r}")
    try:
        with trio.fail_after(_CONNECT_S):
            stream = await _connect(folder / Path(socket).parent, Path(socket).name)
    except (OSError, trio.TooSlowError) as exc:
        raise ActionFailed("The browser can't be attached to", detail=repr(exc)) from exc
    async with stream:
        yield SocketConnection(
            browser=browser,
            may_trace=proxy is None or not proxy.password,
            stream=stream,
            keep_dialogs=keep_dialogs,
            secrets=tuple(_credentials(proxy)),
        )


async def _connect(folder: Path, name: str) -> trio.SocketStream:
    """Connect to a Unix socket, however long the path of its folder is."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection = trio.socket.socket(trio.socket.AF_UNIX)
        try:
            await connection.connect(f"/proc/self/fd/{descriptor}/{name}")
        except BaseException:
            connection.close()
            raise
    finally:
        os.close(descriptor)
    return trio.SocketStream(connection)


def _credentials(proxy: Proxy | None) -> list[bytes]:
    if proxy is None or not proxy.password:
        return []
    return [base64.b64encode(f"{proxy.username}:{proxy.password}".encode())]
