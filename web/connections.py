"""One client's connection: HTTP/1.1 requests, one after another, each answered by an ASGI app.

h11 reads and writes the protocol. Added here is what keeps one client from harming the others: a limit on
every wait and every buffer, and an eye on the client while it waits, so that its leaving is seen whatever it
had sent before. Neither HTTP/2 nor WebSockets are spoken.
"""

import contextlib
import enum
import socket
import struct

import attrs
import h11
import structlog
import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveEvent, ASGISendEvent, HTTPResponseStartEvent

from web.errors import describe_malformed
from web.limits import Limits
from web.requests import Refused, check, date_header, explain, make_refusal, make_scope, request_id_of

# RFC 9110, 9.2.1: answering these for nobody harms nobody.
SAFE_METHODS = {b"GET", b"HEAD", b"OPTIONS"}
BODILESS = {204, 304}
PIECE_BYTES = 64 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_log = structlog.get_logger("greenroom.web")


class Stage(enum.Enum):
    """How far the current request is."""

    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWER = enum.auto()


class ClientLeft(OSError):
    """The client has left, or takes too long to read its answer."""


@attrs.define(eq=False, kw_only=True)
class Connection:
    """Serves the client at the other end of `stream`. `server` and `client` are the ends' addresses.

    The app is cancelled if the client leaves before it has been answered. Its `receive` never returns
    `http.disconnect`, and its `send` raises `ClientLeft` when the client does not take the answer.
    """

    app: ASGIFramework
    stream: trio.abc.HalfCloseableStream
    limits: Limits
    server: tuple[str, int] | None = None
    client: tuple[str, int] | None = None
    stage: Stage = attrs.field(default=Stage.HEAD, init=False)
    is_writing: bool = attrs.field(default=False, init=False)
    _protocol: h11.Connection = attrs.field(init=False)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _is_reused: bool = attrs.field(default=False, init=False)
    _is_last: bool = attrs.field(default=False, init=False)
    _writing: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    def __attrs_post_init__(self) -> None:
        self._protocol = self._new_protocol()

    async def run(self) -> None:
        """Serve the client until it or we have had enough, and close the stream.

        Never raises, whatever the client, the app or a library does: it is logged, once. Cancelling this
        resets the connection.
        """
        try:
            await self._run()
        except* (OSError, trio.BrokenResourceError):
            pass  # the client has left
        except* Exception:
            _log.exception("a connection failed")

    def stop(self) -> None:
        """Answer the request that is here, if there is one, and no other; its client has to be quick now."""
        self._is_last = True
        if self.stage is not Stage.ANSWER:
            self.abort()
        self._writing.deadline = min(self._writing.deadline, trio.current_time() + self.limits.linger_s)

    def abort(self) -> None:
        """Reset the connection, whatever is going on."""
        self._scope.cancel(reason="the connection is to end")

    async def _run(self) -> None:
        is_over = False
        try:
            with self._scope:
                while await self._serve_request():
                    self._prepare_for_next()
                await self._let_read_the_end()
                is_over = True
        finally:
            if not is_over:
                self._reset_on_close()
            await trio.aclose_forcefully(self.stream)

    def _new_protocol(self) -> h11.Connection:
        return h11.Connection(h11.SERVER, max_incomplete_event_size=self.limits.head_bytes)

    def _prepare_for_next(self) -> None:
        """Be ready for another request, of which something may be here already."""
        ahead, is_closed = self._protocol.trailing_data
        self._protocol = self._new_protocol()
        self.stage = Stage.HEAD
        self._is_reused = True
        self._take(ahead)
        if is_closed:
            self._protocol.receive_data(b"")

    # Reading

    async def _serve_request(self) -> bool:
        """Serve one request. Returns whether another may follow."""
        request = None
        try:
            request = await self._read_head()
            if request is None:
                return False
            self.stage = Stage.BODY
            check(request)
            body = await self._read_body(request)
            self.stage = Stage.ANSWER
            await self._have_answered(request, body)
        except Refused as refused:
            await self._refuse(refused, request)
        except h11.RemoteProtocolError as exc:
            await self._refuse(explain(exc), request)
        is_done = self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE
        return is_done and not self._is_last

    async def _read_head(self) -> h11.Request | None:
        """Return the next request, still without its body; None if the client has none, or is idle."""
        if self._is_reused and not self._protocol.trailing_data[0]:
            with trio.move_on_after(self.limits.idle_s) as idle:
                await self._receive()
            if idle.cancelled_caught:
                return None
        with trio.move_on_after(self.limits.spread_out(self.limits.head_s)):
            while (event := self._protocol.next_event()) is h11.NEED_DATA:
                await self._receive()
            return event if isinstance(event, h11.Request) else None
        if self._protocol.trailing_data[0]:
            raise Refused(408, f"The request's headers took longer than {self.limits.head_s:g} seconds")
        return None

    async def _receive(self) -> int:
        """Take what the client sends next, and return how much that is; 0 once it sends no more."""
        data = bytes(await self.stream.receive_some(PIECE_BYTES))
        if data:
            self._take(data)
        else:
            self._protocol.receive_data(b"")
        return len(data)

    def _take(self, data: bytes) -> None:
        if self.stage is Stage.HEAD and not self._protocol.trailing_data[0]:
            data = data.lstrip(b"\r\n")  # RFC 9112, 2.2: some clients end a body with a line break
        if data:
            self._protocol.receive_data(data)

    async def _read_body(self, request: h11.Request) -> bytes:
        """Return the request's body. Raises `ClientLeft` if the client leaves before its end."""
        limits, body = self.limits, bytearray()
        announced = [int(value) for name, value in request.headers if name == b"content-length"]
        if max(announced, default=0) <= limits.body_bytes:
            if self._protocol.they_are_waiting_for_100_continue:
                await self._write(h11.InformationalResponse(status_code=100, headers=[]))
            with trio.move_on_after(limits.spread_out(limits.body_s)) as patience:
                while len(body) <= limits.body_bytes:
                    event = self._protocol.next_event()
                    if isinstance(event, h11.EndOfMessage):
                        return bytes(body)
                    if isinstance(event, h11.Data):
                        body += event.data
                        await trio.lowlevel.checkpoint()  # however small the pieces are, others get a turn
                    elif not await self._receive():
                        raise ClientLeft
            if patience.cancelled_caught:
                raise Refused(408, f"The request's body took longer than {limits.body_s:g} seconds")
        raise Refused(413, f"The request's body is larger than {limits.body_bytes} bytes")

    async def _watch_client(self, request: h11.Request) -> None:
        """Return when the client has left, or sends so much ahead that nobody can tell any more."""
        ahead = 0
        with contextlib.suppress(OSError, trio.BrokenResourceError):
            while ahead <= self.limits.ahead_bytes:
                received = await self._receive()
                if not received:
                    if request.method in SAFE_METHODS:
                        await trio.sleep(self.limits.half_closed_s)
                    break
                ahead += received

    # Answering

    async def _have_answered(self, request: h11.Request, body: bytes) -> None:
        """Have the app answer the request. Raises `ClientLeft` when that is not to be."""
        send_body, receive_body = trio.open_memory_channel[ASGIReceiveEvent](1)
        send_body.send_nowait({"type": "http.request", "body": body, "more_body": False})
        scope = make_scope(request, server=self.server, client=self.client)
        answer, is_sent = _Answer(method=request.method), False
        trouble: Exception = ClientLeft()

        async def send(message: ASGISendEvent) -> None:
            nonlocal is_sent
            await self._write(*answer.take(message, is_last=self._is_last))
            is_sent = answer.is_ended

        async def leave_with_client() -> None:
            await self._watch_client(request)
            nursery.cancel_scope.cancel(reason="the client has left")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave_with_client)
            try:
                await self.app(scope, receive_body.receive, send)
            except* ClientLeft:
                pass
            except* Exception as failed:
                trouble = Refused(500, "An internal error occurred")
                trouble.__cause__ = failed
            nursery.cancel_scope.cancel(reason="the app is done")
        if not is_sent:
            raise trouble

    async def _refuse(self, refused: Refused, request: h11.Request | None) -> None:
        """Answer in place of the app. Raises `ClientLeft` if a part of the app's answer is sent already."""
        ids = [] if request is None else [value for name, value in request.headers if name == b"x-request-id"]
        request_id = request_id_of([value.decode("latin-1") for value in ids])
        failure = describe_malformed(refused.status, str(refused))
        log = _log.error if refused.__cause__ else _log.info
        log(
            "request refused",
            request_id=request_id,
            status=refused.status,
            code=failure.error_details.code,
            details=str(refused),
            exc_info=refused.__cause__,
        )
        if self._protocol.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            raise ClientLeft
        response, data = make_refusal(refused.status, failure, request_id)
        is_head = request is not None and request.method == b"HEAD"
        await self._write(response, *([] if is_head else [data]), h11.EndOfMessage())

    async def _write(self, *events: h11.Event) -> None:
        """Send the events. Raises `ClientLeft` if the client does not take them in time."""
        data = memoryview(b"".join(self._protocol.send(event) or b"" for event in events))
        seconds = self.limits.linger_s if self._is_last else self.limits.write_s
        self.is_writing = True
        try:
            for start in range(0, len(data), PIECE_BYTES):
                with trio.move_on_after(seconds) as self._writing:
                    await self.stream.send_all(data[start : start + PIECE_BYTES])
                if self._writing.cancelled_caught:
                    raise ClientLeft
        except (OSError, trio.BrokenResourceError) as exc:
            raise ClientLeft from exc
        finally:
            self.is_writing = False

    async def _let_read_the_end(self) -> None:
        """Close our side, and for a while drop what still comes: else TCP would take back what was sent."""
        with trio.move_on_after(self.limits.linger_s):
            await self.stream.send_eof()
            while await self.stream.receive_some(PIECE_BYTES):
                pass

    def _reset_on_close(self) -> None:
        if isinstance(self.stream, trio.SocketStream):
            with contextlib.suppress(OSError):
                self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


@attrs.define(eq=False, kw_only=True)
class _Answer:
    """Turns the app's answer to a request by `method` into h11's events."""

    method: bytes
    is_ended: bool = attrs.field(default=False, init=False)
    _start: HTTPResponseStartEvent | None = attrs.field(default=None, init=False)
    _has_begun: bool = attrs.field(default=False, init=False)

    def take(self, message: ASGISendEvent, *, is_last: bool) -> list[h11.Event]:
        """Return what is to be sent for `message`. The headers wait for the first of the body."""
        if message["type"] == "http.response.start":
            self._start = message
            return []
        if message["type"] != "http.response.body" or self._start is None:
            raise ValueError(f"{message['type']} is not what an answer goes on with")
        events: list[h11.Event] = []
        if not self._has_begun:
            self._has_begun = True
            headers = [*self._start["headers"], date_header()]
            if is_last:
                headers.append((b"Connection", b"close"))
            events.append(h11.Response(status_code=self._start["status"], headers=headers))
        data = message.get("body", b"")
        if data and self.method != b"HEAD" and self._start["status"] not in BODILESS:
            events.append(h11.Data(data=data))
        if not message.get("more_body", False):
            events.append(h11.EndOfMessage())
            self.is_ended = True
        return events
