"""A client of WebSockets that can also misbehave."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

import attrs
import msgspec
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from tests.patience import patience

_PATIENCE_S = patience(20)


@attrs.define
class Refusal(Exception):
    """The handshake was answered with this status and this body."""

    status: int
    body: bytes
    headers: dict[bytes, bytes]

    @property
    def code(self) -> str:
        """The error's code."""
        code: str = msgspec.json.decode(self.body)["error_details"]["code"]
        return code


@attrs.define
class Closed(Exception):
    """The server has closed the connection; None if it did not say why."""

    code: int | None
    reason: str | None


@attrs.define(eq=False)
class Socket:
    """A WebSocket. `stream` is the connection below it."""

    stream: trio.SocketStream
    _protocol: WSConnection
    accepted: AcceptConnection | None = None
    _text: str = ""
    _bytes: bytes = b""

    async def send(self, text: str | bytes) -> None:
        """Send a text message."""
        message = text.decode() if isinstance(text, bytes) else text
        await self.stream.send_all(self._protocol.send(TextMessage(data=message)))

    async def say(self, id_: int | str, guid: str, method: str, /, **params: object) -> None:
        """Call a method of one of Playwright's objects."""
        call = {"id": id_, "guid": guid, "method": method, "params": params, "metadata": {}}
        await self.send(msgspec.json.encode(call))

    async def receive(self) -> str:
        """Return the next text message. Raises `Closed`."""
        message = await self.receive_any()
        assert isinstance(message, str)
        return message

    async def receive_any(self) -> str | bytes:
        """Return the next message. Raises `Closed`."""
        with trio.fail_after(_PATIENCE_S):
            while True:
                for event in self._protocol.events():
                    match event:
                        case TextMessage(data=data, message_finished=is_whole):
                            self._text += data
                            if is_whole:
                                text, self._text = self._text, ""
                                return text
                        case BytesMessage(data=data, message_finished=is_whole):
                            self._bytes += data
                            if is_whole:
                                whole, self._bytes = self._bytes, b""
                                return whole
                        case CloseConnection(code=code, reason=reason):
                            raise Closed(code, reason)
                        case _:
                            pass
                await self._read()

    async def reply(self, id_: int | str) -> dict[str, object]:
        """Return the reply to a call, leaving out what comes before it."""
        while True:
            message: dict[str, object] = msgspec.json.decode(await self.receive())
            if message.get("id") == id_:
                return message

    async def closed(self) -> tuple[int | None, str | None]:
        """Wait until the server closes the connection; return its code and its reason."""
        try:
            while True:
                await self.receive_any()
        except Closed as closed:
            return closed.code, closed.reason

    async def _read(self) -> None:
        try:
            data = await self.stream.receive_some(1 << 16)
        except trio.BrokenResourceError:
            raise Closed(None, None) from None
        if not data:
            raise Closed(None, None)
        self._protocol.receive_data(bytes(data))

    async def shake_hands(self, request: Request) -> None:
        """Open the WebSocket. Raises `Refusal`."""
        await self.stream.send_all(self._protocol.send(request))
        refused: RejectConnection | None = None
        body = b""
        with trio.fail_after(_PATIENCE_S):
            while self.accepted is None:
                event: Event
                for event in self._protocol.events():
                    match event:
                        case AcceptConnection():
                            self.accepted = event
                            return
                        case RejectConnection():
                            refused = event
                        case RejectData(data=data, body_finished=is_whole) if refused is not None:
                            body += data
                            if is_whole:
                                raise Refusal(refused.status_code, body, dict(refused.headers))
                        case _:
                            pass
                await self._read()


@contextlib.asynccontextmanager
async def open_socket(
    url: str, headers: Sequence[tuple[bytes, bytes]] = (), subprotocols: Sequence[str] = ()
) -> AsyncIterator[Socket]:
    """Open a WebSocket at an http URL, and leave it without a word at the end. Raises `Refusal`."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with await trio.open_tcp_stream(parts.hostname, parts.port) as stream:
        socket = Socket(stream, WSConnection(ConnectionType.CLIENT))
        await socket.shake_hands(
            Request(
                host=parts.netloc,
                target=parts.path,
                extra_headers=list(headers),
                subprotocols=list(subprotocols),
                extensions=[PerMessageDeflate()],
            )
        )
        yield socket
