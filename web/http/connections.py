"""One client's connection, and what keeps it from harming the others.

This replaces Hypercorn's `TCPServer`, in which an error ends the whole server and writes can't be cancelled.
Hypercorn's protocol still speaks HTTP and WebSockets. Here every wait and every buffer has a limit, and the
connection keeps reading while the client waits, so that it notices a client that leaves, whatever the client
had sent before.
"""

import math

import attrs
import structlog
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ConnectionState, Scope

from greenroom.web.http.bodies import LargeBodies
from greenroom.web.http.closing import let_read_the_end, reset_on_close
from greenroom.web.http.limits import Limits
from greenroom.web.http.protocol import Protocol, Stage, config_for
from greenroom.web.http.refusals import refuse
from greenroom.web.http.requests import Refused

# RFC 9110, 9.2.1: these change nothing, so they may be answered even if nobody reads the answer.
SAFE_METHODS = {b"GET", b"HEAD", b"OPTIONS"}
PIECE_BYTES = 64 * 1024

_log = structlog.get_logger("greenroom.web")


@attrs.define(eq=False, kw_only=True, repr=False)
class Connection:
    """Serves the client at the other end of `stream`. `server` and `client` are the ends' addresses.

    The app is cancelled if the client leaves before it has its answer, or does not read the answer.
    """

    app: ASGIFramework
    stream: trio.SSLStream[trio.SocketStream] | trio.abc.HalfCloseableStream
    limits: Limits
    large: LargeBodies = attrs.field(factory=LargeBodies)
    server: tuple[str, int] | None = None
    client: tuple[str, int] | None = None
    is_writing: bool = attrs.field(default=False, init=False)
    _below: trio.abc.HalfCloseableStream = attrs.field(init=False)
    _context: WorkerContext = attrs.field(factory=lambda: WorkerContext(None), init=False)
    _apps: TaskGroup = attrs.field(factory=TaskGroup, init=False)
    _protocol: Protocol = attrs.field(init=False)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _conversing: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _patience: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _deadline: float = attrs.field(default=math.inf, init=False)
    _sending: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _writing: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _is_free: trio.Event = attrs.field(factory=trio.Event, init=False)
    _has_begun: bool = attrs.field(default=False, init=False)
    _has_parted: bool = attrs.field(default=False, init=False)
    _has_left: bool = attrs.field(default=False, init=False)
    _refusal: Refused | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._below = self.stream.transport_stream if isinstance(self.stream, trio.SSLStream) else self.stream
        self._protocol = Protocol(
            self._serve,
            config_for(self.limits),
            self._context,
            self._apps,
            ConnectionState({}),
            isinstance(self.stream, trio.SSLStream),
            self.client,
            self.server,
            self._send,
            limits=self.limits,
            large=self.large,
        )

    async def run(self) -> None:
        """Serve the client until either side ends the connection, then close the stream.

        Never raises: whatever goes wrong in the app or a library is logged, once. Cancelling this resets the
        connection.
        """
        try:
            await self._run()
        except* (OSError, trio.BrokenResourceError):
            pass  # the client has left
        except* Exception:
            _log.exception("a connection failed")

    @property
    def stage(self) -> Stage:
        """How far the current request has come."""
        return self._protocol.stage

    async def stop(self) -> None:
        """Answer the current request, if there is one, and no other. Its client has to be quick now."""
        await self._context.terminated.set()
        if self.stage is not Stage.ANSWER:
            self.abort()
        self._writing.deadline = min(self._writing.deadline, trio.current_time() + self.limits.linger_s)

    def abort(self) -> None:
        """Reset the connection, whatever it is doing."""
        self._protocol.take_no_more()
        self._scope.cancel(reason="the connection is to end")

    async def _run(self) -> None:
        is_over = False
        try:
            with self._scope:
                await self._converse()
                if self._refusal is not None:
                    await self._refuse(self._refusal)
                if not self._has_parted:
                    await let_read_the_end(self.stream, self.limits.linger_s)
                is_over = True
        finally:
            self._protocol.release()
            if not is_over:
                reset_on_close(self._below)
            await trio.aclose_forcefully(self._below)

    async def _converse(self) -> None:
        """Read and answer until `_end`."""
        with self._conversing:
            if isinstance(self.stream, trio.SSLStream) and not await self._shake_hands(self.stream):
                return
            async with self._apps:
                await self._read()

    async def _shake_hands(self, stream: trio.SSLStream[trio.SocketStream]) -> bool:
        """Begin TLS. Returns whether the client has done so in time; otherwise it is not worth an answer."""
        with trio.move_on_after(self.limits.spread_out(self.limits.head_s)):
            await stream.do_handshake()
            return True
        self.abort()
        return False

    def _end(self, refusal: Refused | None = None) -> None:
        """End the conversation, with a refusal or after what has been sent."""
        self._refusal = self._refusal or refusal
        self._protocol.take_no_more()
        self._conversing.cancel(reason="the conversation is over")

    # Reading

    # A client that we wait for costs only this one task. Hundreds may come at once, and one of them with a
    # request has to wait until all have been taken in.

    async def _read(self) -> None:
        self._wait_at_most(self.limits.head_s)
        while not self._has_parted:
            data = await self._receive()
            if data:
                await self._take(data)
            elif data is not None:
                await self._part()
            elif self._is_free.is_set():
                await self._handle_kept()
            else:
                self._stop_waiting()

    async def _receive(self) -> bytes | None:
        """Return what the client sends, or b"" at the end.

        Returns None once the client's time is over, or once a request has been answered, since the next one
        may be here already.
        """
        with trio.CancelScope(deadline=self._deadline) as self._patience:
            while not self._is_free.is_set():
                try:
                    data = bytes(await self.stream.receive_some(PIECE_BYTES))
                except trio.BrokenResourceError:
                    self._has_left = True
                    return b""
                if not self._is_within_headers(data):
                    return data
                self._protocol.keep(data)
        return None

    def _is_within_headers(self, data: bytes) -> bool:
        """Return whether `data` is inside the headers: they neither begin, end, nor get too long with it."""
        if not data or b"\n" in data or not self._has_begun or self.stage is not Stage.HEAD:
            return False
        kept, _is_closed = self._protocol.http.trailing_data
        return len(kept) + len(data) <= self.limits.head_bytes

    async def _take(self, data: bytes) -> None:
        if self.stage is not Stage.ANSWER:
            if self.stage is Stage.HEAD and not self._has_begun and data.strip(b"\r\n"):
                self._has_begun = True
                self._wait_at_most(self.limits.head_s, self._deadline)
            await self._handle(data)
            return
        self._protocol.keep(data)
        if len(self._protocol.http.trailing_data[0]) > self.limits.ahead_bytes:
            self.abort()  # data that we can't keep would hide that the client leaves

    async def _part(self) -> None:
        """Part with a client that has stopped sending: at once, unless it may still wait for an answer."""
        with trio.move_on_after(self.limits.half_closed_s):
            while self.stage is Stage.ANSWER and self._is_safe and not self._has_left:
                await self._is_free.wait()
                await self._handle_kept()
        if self.stage is not Stage.HEAD:
            self.abort()
        self._has_parted = True

    @property
    def _is_safe(self) -> bool:
        request = self._protocol.request
        return request is not None and request.method in SAFE_METHODS

    async def _handle_kept(self) -> None:
        """Handle data that came before its turn. The previous request has been answered now."""
        self._is_free = trio.Event()
        await self._handle()

    async def _handle(self, data: bytes = b"") -> None:
        try:
            self._protocol.keep(data)
            await self._protocol.handle_kept()
        except Refused as refused:
            self._end(refused.with_traceback(None))  # its frames would keep this connection alive
        except Exception as exc:  # raised by Hypercorn: one client's bytes must end only its own connection
            defect = Refused(400, "The request can't be understood")
            defect.__cause__ = exc
            self._end(defect)
        if self.stage in {Stage.ANSWER, Stage.WEBSOCKET}:
            self._deadline = math.inf

    def _wait_at_most(self, seconds: float, latest: float = math.inf) -> None:
        """Limit the wait for the client to `seconds`, and to `latest` on Trio's clock."""
        self._deadline = min(latest, trio.current_time() + self.limits.spread_out(seconds))

    def _stop_waiting(self) -> None:
        """Part with a client that has taken too long."""
        if self.stage is Stage.BODY:
            self._end(
                Refused(
                    408, f"The request's body took longer than {self._protocol.allowance.seconds:g} seconds"
                )
            )
        elif self._has_begun:
            self._end(Refused(408, f"The request's headers took longer than {self.limits.head_s:g} seconds"))
        else:
            self._end()

    # Answering

    async def _serve(
        self,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        sync_spawn: object,  # noqa: ARG002  # this and the next are for apps that run in threads
        call_soon: object,  # noqa: ARG002
    ) -> None:
        """Have the app answer a request. If it raises, the connection ends, with a 500 if possible."""
        await trio.lowlevel.checkpoint_if_cancelled()  # data after the headers may have been refused already
        try:
            await self.app(scope, receive, send)
        except* Exception as failed:
            refused = Refused(500, "An internal error occurred")
            refused.__cause__ = failed
            self._end(refused)

    async def _send(self, event: Event) -> None:
        """Handle an event from the protocol."""
        match event:
            case RawData(data=data):
                await self._write(data)
            case Closed():
                self._end()
            case Updated(idle=True):
                self._has_begun = bool(self._protocol.http.trailing_data[0])
                self._wait_at_most(self.limits.head_s if self._has_begun else self.limits.idle_s)
                self._is_free.set()
                self._patience.cancel(reason="the next request has its turn")
            case Updated():
                self._wait_at_most(self._protocol.allowance.seconds)

    async def _write(self, data: bytes) -> None:
        """Send `data`, or drop a client that does not read it in time."""
        view = memoryview(data)
        seconds = self.limits.linger_s if self._context.terminated.is_set() else self.limits.write_s
        async with self._sending:
            self.is_writing = True
            try:
                for start in range(0, len(view), PIECE_BYTES):
                    with trio.move_on_after(seconds) as self._writing:
                        await self.stream.send_all(view[start : start + PIECE_BYTES])
                    if self._writing.cancelled_caught:
                        await self._leave()
            except (OSError, trio.BrokenResourceError):
                await self._leave()
            finally:
                self.is_writing = False

    async def _leave(self) -> None:
        """Cancel everything in this connection, the caller included."""
        self.abort()
        await trio.lowlevel.checkpoint()

    async def _refuse(self, refused: Refused) -> None:
        """Answer in place of the app. If a part of the app's answer has been sent already, break that off."""
        answer = refuse(refused, self._protocol.request, self._protocol.head)
        if not self._protocol.can_refuse:
            await self._leave()
        await self._write(b"".join(self._protocol.http.send(event) or b"" for event in answer))
