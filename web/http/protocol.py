"""HTTP/1.1 and WebSockets as Hypercorn speaks them, without what Greenroom does not offer.

Hypercorn's own loop would speak HTTP/2 with anybody who asks, treat data after a `Connection: close` request
as an error in that request, and stop reading while a request is answered, so it would miss a client that
leaves.
"""

import dataclasses
import enum
import functools
import logging
from typing import Any

import h11
from hypercorn.config import Config
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.events import Body, Data, EndBody, Event, Response
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import H11SendableEvent

from greenroom.web.http.bodies import Allowance, LargeBodies
from greenroom.web.http.limits import Limits
from greenroom.web.http.requests import (
    TOO_EARLY,
    TOO_LARGE,
    UNAUTHORIZED,
    Refused,
    announced_bytes,
    check,
    check_blanks,
    check_head,
    explain,
    to_origin_form,
    without_extensions,
)


class Stage(enum.Enum):
    """How far the current request has come."""

    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWER = enum.auto()
    WEBSOCKET = enum.auto()


class Protocol(H11Protocol):
    """One connection's requests, one after the other.

    Received data goes to `keep`. `handle_kept` passes it to the app, one request at a time, once the request
    is complete and the previous one has been answered. So a slow client costs the app nothing. It raises
    `Refused` for a request that the app must not get; the connection is then of no more use.
    """

    request: h11.Request | None = None

    def __init__(self, *args: Any, limits: Limits, large: LargeBodies) -> None:
        super().__init__(*args)
        self._limits = limits
        self._large = large
        self._room = 0
        self.allowance = Allowance(limits.body_bytes, limits.body_s)
        self._head = b""
        self._unread: bytes | None = None
        self._body = bytearray()

    @property
    def http(self) -> h11.Connection:
        """The state of the HTTP conversation, even if it has become a WebSocket's."""
        connection: Any = self.connection
        http: h11.Connection = connection.h11_connection if self.is_websocket else connection
        return http

    @property
    def is_websocket(self) -> bool:
        """Whether the connection has left HTTP, or asks to."""
        return isinstance(self.connection, H11WSConnection)

    @property
    def stage(self) -> Stage:
        """How far the current request has come."""
        if self.is_websocket:
            return Stage.WEBSOCKET
        if self.stream is not None:
            return Stage.ANSWER
        return Stage.HEAD if self.request is None else Stage.BODY

    @property
    def head(self) -> bytes:
        """What has arrived of a request whose headers are not valid, or not complete; else nothing."""
        if self.request is not None:
            return b""
        return self.http.trailing_data[0] if self._unread is None else self._unread

    @property
    def can_refuse(self) -> bool:
        """Whether a refusal can still be sent, because nothing of an answer has been."""
        return self.http.our_state in {h11.IDLE, h11.SEND_RESPONSE}

    def keep(self, data: bytes) -> None:
        """Keep received data until its turn."""
        if self.request is None and not self.http.trailing_data[0]:
            data = data.lstrip(b"\r\n")  # RFC 9112, 2.2: some clients end a body with a line break
        if data:
            self.connection.receive_data(data)

    def take_no_more(self) -> None:
        """Ignore the app from now on. Hypercorn would still answer 500 for an app that is cancelled."""
        self.release()
        if self.stream is not None:
            self.stream.closed = True

    async def handle_kept(self) -> None:
        """Pass the kept data to the app, up to the end of its request. Raises `Refused`."""
        head = self.head  # h11 drops what it can't read
        check_blanks(head)
        try:
            while await self._handle_event():
                pass
        except h11.RemoteProtocolError as exc:
            self._unread = head
            refused = explain(exc, self.head)
        else:
            return
        raise refused  # without `exc`, which would keep alive everything that the client sent

    async def stream_send(self, event: Event) -> None:
        """Send a part of an answer. The connection's last answer gets a `Connection: close`."""
        if isinstance(event, Response) and self.context.terminated.is_set():
            event = dataclasses.replace(event, headers=[*event.headers, (b"connection", b"close")])
        await super().stream_send(event)

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        """Send an answer's head with the start of its body, so a client that closes early has got both."""
        try:
            data = self._head + (self.connection.send(event) or b"")
        except h11.LocalProtocolError:
            if self.http.their_state is not h11.ERROR:
                raise
            return
        self._head = data if isinstance(event, h11.Response) else b""
        if data and not self._head:
            await self.send(RawData(data=data))

    async def _handle_event(self) -> bool:
        """Handle the next event; return whether there may be another."""
        if self.connection.they_are_waiting_for_100_continue:
            await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))
        event = self.connection.next_event()
        if isinstance(event, h11.Request):
            self.request = event
            self.allowance = self._large.allow(event, self._limits)
            is_followed = bool(self.http.trailing_data[0])
            check_head(event, self._limits.head_bytes)
            check(event, is_followed=is_followed)
            self._check_size(announced_bytes(event))
            await self.send(Updated(idle=False))
        elif isinstance(event, h11.Data):
            self._body += event.data
            self._check_size(len(self._body))
            self._take_room()
        elif isinstance(event, h11.EndOfMessage) and self.request is not None:
            body, self._body = bytes(self._body), bytearray()
            await self._give(self.request, body)
            return self.is_websocket
        elif isinstance(event, Data) and isinstance(self.stream, WSStream):
            if not self.stream.handshake.accepted:
                raise Refused(400, TOO_EARLY)
            await self.stream.handle(event)
        else:
            return False
        return True

    def _check_size(self, size: int) -> None:
        if size > self.allowance.size:
            if not self.allowance.is_admitted:
                raise Refused(401, UNAUTHORIZED)
            raise Refused(413, TOO_LARGE.format(self.allowance.size))

    def _take_room(self) -> None:
        """Reserve room for what the body has over the usual limit."""
        needed = len(self._body) - self._limits.body_bytes - self._room
        if needed > 0:
            if not self._large.take(needed):
                raise Refused(503, "Too many large requests are under way: send it again later")
            self._room += needed

    def release(self) -> None:
        """Give back the room of the request's body. Idempotent."""
        self._large.give_back(self._room)
        self._room = 0

    async def _give(self, request: h11.Request, body: bytes) -> None:
        """Pass a complete request to the app."""
        await self._create_stream(without_extensions(to_origin_form(request)))
        if isinstance(self.stream, HTTPStream):
            if body:
                await self.stream.handle(Body(stream_id=STREAM_ID, data=body))
            await self.stream.handle(EndBody(stream_id=STREAM_ID))

    async def _maybe_recycle(self) -> None:
        """Get ready for the next request, of which a part may be here already, or close."""
        await self._close_stream()
        is_done = self.http.our_state is h11.DONE and self.http.their_state is h11.DONE
        if self.is_websocket or self.context.terminated.is_set() or not is_done:
            await self.send(Closed())
            return
        ahead, _ = self.http.trailing_data
        self.connection = h11.Connection(
            h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size
        )
        self.request, self._body = None, bytearray()
        self.release()
        self.keep(ahead)
        await self.send(Updated(idle=True))


@functools.cache
def config_for(limits: Limits) -> Config:
    """Return Hypercorn's configuration for a connection with these limits."""
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.head_bytes
    config.websocket_max_message_size = limits.message_bytes
    return config
