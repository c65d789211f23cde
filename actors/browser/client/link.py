"""The connection to one browser host, which several sessions share."""

import contextlib
import functools
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import attrs
import structlog
import trio

from greenroom.actors.browser.client.loss import Loss
from greenroom.actors.browser.client.redact import redact
from greenroom.actors.browser.client.stream import Stream, Waiting
from greenroom.actors.browser.client.transport import Transport
from greenroom.actors.browser.wire import messages
from greenroom.actors.browser.wire.framing import FrameBuffer, FrameError, decode_from_host, encode
from greenroom.actors.errors import BrowserLost

# How many pieces of one stream may be under way or unread: 256 KB.
WINDOW: Final = 4

# During a burst of launches on few cores, a browser answers late. A stopped one never answers.
_HEARTBEAT_S = 2.0
_STALLED_S = 15.0
_MAX_DETAIL = 2000
# A frame is far smaller than the socket's buffer, so sending only blocks if the host has stopped reading.
_SEND_S = 1.0
# The session in frames about the host itself.
_NO_SESSION = ""

_log = structlog.get_logger("greenroom.host")


@attrs.define(eq=False, kw_only=True, repr=False)
class HostLink:
    """Sends requests to a host over `transport`, and matches each with its reply.

    Every request ends in a reply or `BrowserLost`. At the first sign that the host is gone, has stalled, or
    breaks the protocol, it is lost with all its sessions. If only one session's browser is gone or has
    stalled, only that session is lost. Requests to a lost host or session, under way or later, raise
    `BrowserLost`.

    Receiving never waits for the reader of a stream: a host that sends more than it has credit for has broken
    the protocol. Frames are sent in the order in which they were requested.
    """

    host: str
    transport: Transport
    secrets: tuple[str, ...] = ()
    loss: Loss = attrs.field(factory=Loss, init=False)
    running: trio.CancelScope = attrs.field(factory=lambda: trio.CancelScope(shield=True), init=False)
    _ready: trio.Event = attrs.field(factory=trio.Event, init=False)
    _next_id: int = attrs.field(default=1, init=False)
    _sessions: dict[str, Loss] = attrs.field(factory=dict, init=False)
    _navigated: dict[str, Callable[[], None]] = attrs.field(factory=dict, init=False)
    _left: set[str] = attrs.field(factory=set, init=False)
    _waiting: dict[int, Waiting] = attrs.field(factory=dict, init=False)
    _sending: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def run(self) -> None:
        """Serve the connection until `running` is cancelled.

        A cancellation from outside does not end it, because a cancelled session still has to ask its browser
        to close, and to hear that it has.
        """
        with self.running:
            async with trio.open_nursery() as nursery:
                for task in (self.receive, self.watch_process, self.log_output, self.beat):
                    nursery.start_soon(self._contain, task)

    async def _contain(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task. Whatever it raises ends this connection and nothing else."""
        try:
            await task()
        except Exception as exc:
            self.lose(f"the conversation failed: {exc!r}")
            detail = redact("".join(traceback.format_exception(exc)), self.secrets)[-_MAX_DETAIL:]
            _log.error("a conversation with a browser host failed", host=self.host, detail=detail)

    def enter(self, session: str, on_navigated: Callable[[], None] = lambda: None) -> Loss:
        """Join the conversation as `session`; return an object that reports the loss of its browser.

        `on_navigated` is called when one of the session's pages has gone to another document.
        """
        self._left.discard(session)
        self._navigated[session] = on_navigated
        self._sessions[session] = loss = Loss()
        if self.loss.has_happened:
            loss.happen(self.loss.why)
        return loss

    def leave(self, session: str) -> None:
        """Remove a session. Whatever the host still sends about it is ignored. Idempotent."""
        self._sessions.pop(session, None)
        self._navigated.pop(session, None)
        self._left.add(session)

    def next_id(self) -> int:
        """Return an id for the next request."""
        self._next_id += 1
        return self._next_id

    async def wait_ready(self) -> None:
        """Return once the host is ready. Raises `BrowserLost` if it never will be."""
        await self._ready.wait()
        if self.loss.has_happened:
            raise self.loss.error()

    async def request(self, request: messages.Request, loss: Loss | None = None) -> messages.Reply:
        """Send `request` once the host is ready and return its reply.

        Cancelling this cancels the request in the host too. Raises `BrowserLost` when `loss`, by default the
        host's, happens. Raises `FrameError` if the request doesn't fit into a frame; the connection is
        unharmed.
        """
        async with self._open_stream(request, 0, loss or self.loss) as stream:
            async for _ in stream:
                pass  # without credit there are no pieces
            assert stream.reply is not None  # noqa: S101  # the reply ends a stream
            return stream.reply

    def open_stream(
        self, request: messages.Streaming, loss: Loss
    ) -> contextlib.AbstractAsyncContextManager[Stream]:
        """Send `request` once the host is ready. The block reads the result's pieces.

        Leaving the block before the reply has come cancels the request in the host. Raises what `request`
        raises.
        """
        return self._open_stream(request, request.credit, loss)

    @contextlib.asynccontextmanager
    async def _open_stream(self, request: messages.Request, credit: int, loss: Loss) -> AsyncIterator[Stream]:
        await self._ready.wait()
        send, receive = trio.open_memory_channel[messages.Reply | bytes](credit + 1)
        with send, receive:
            self._waiting[request.id] = Waiting(request.session, loss, send, credit)
            try:
                if loss.has_happened:
                    raise loss.error()
                await self._send(request)
                try:
                    yield Stream(functools.partial(self._give_credit, request), loss, receive)
                finally:
                    if request.id in self._waiting and not loss.has_happened:
                        await self._give_up(request)
            finally:
                self._waiting.pop(request.id, None)

    async def _give_up(self, request: messages.Request) -> None:
        with trio.move_on_after(1, shield=True), contextlib.suppress(BrowserLost):
            await self._send(messages.Cancel(session=request.session, id=request.id))

    async def _give_credit(self, request: messages.Request) -> None:
        """Let the host send one more piece for `request`, unless its reply has come. Raises `BrowserLost`."""
        if (waiting := self._waiting.get(request.id)) is not None:
            waiting.credit += 1
            await self._send(messages.Credit(session=request.session, id=request.id, pieces=1))

    def lose(self, why: str) -> None:
        """Declare the host lost and wake every request with `BrowserLost`. The first reason stays."""
        for loss in (self.loss, *self._sessions.values()):
            self._tell(loss, why)
        self._ready.set()

    def _tell(self, loss: Loss, why: str) -> None:
        loss.happen(self.redact(why))
        for waiting in self._waiting.values():
            if waiting.loss is loss:
                waiting.answer_to.close()

    async def receive(self) -> None:
        """Receive frames until the host closes the connection or breaks the protocol."""
        buffer = FrameBuffer()
        try:
            while data := await self.transport.receive_some():
                for frame in buffer.feed(data):
                    self._take(decode_from_host(frame), frame.body)
            self.lose("the host closed the conversation")
        except (FrameError, trio.BrokenResourceError) as exc:
            self.lose(str(exc))

    async def watch_process(self) -> None:
        """Declare the host lost when its process dies."""
        await self.transport.wait_died()
        self.lose("the host process died")

    async def beat(self) -> None:
        """Ping the host and each browser in it, and declare lost what no longer answers."""
        asked: set[str] = set()
        async with trio.open_nursery() as nursery:
            while not self.loss.has_happened:
                for session in (_NO_SESSION, *self._sessions):
                    if session not in asked:
                        asked.add(session)
                        nursery.start_soon(self._ping, session, asked)
                await trio.sleep(_HEARTBEAT_S)

    async def _ping(self, session: str, asked: set[str]) -> None:
        loss = self._sessions.get(session, self.loss)
        reply: messages.Reply | None = None
        with trio.move_on_after(_STALLED_S) as answering, contextlib.suppress(BrowserLost):
            reply = await self.request(messages.Ping(id=self.next_id(), session=session), loss)
        asked.discard(session)
        who = "the browser" if session else "the host"
        if answering.cancelled_caught:
            self._lose_one(session, loss, f"{who} did not answer for {_STALLED_S:g} seconds")
        elif isinstance(reply, messages.Failed):
            self._lose_one(session, loss, f"{who} is unwell: {reply.detail}")

    def _lose_one(self, session: str, loss: Loss, why: str) -> None:
        if not session:
            self.lose(why)
        elif self._sessions.get(session) is loss:
            self._tell(loss, why)

    async def log_output(self) -> None:
        """Log the output of the host, its driver and its browsers, redacted."""
        while (line := await self.transport.receive_line()) is not None:
            self._log_line(line)

    def _log_line(self, line: bytes) -> None:
        text = redact(line.decode(errors="replace"), self.secrets).strip()
        if text:
            _log.debug("host output", host=self.host, line=text)

    def _take(self, message: messages.FromHost, body: bytes) -> None:
        match message:
            case messages.Ready(version=messages.PROTOCOL_VERSION):
                self._ready.set()
            case messages.Ready(version=version):
                self.lose(f"the host speaks protocol {version}, not {messages.PROTOCOL_VERSION}")
            case messages.Lost(session="", detail=detail):
                self.lose(detail)
            case _ if message.session in self._left:
                pass
            case _ if message.session and message.session not in self._sessions:
                self.lose(f"the host spoke of the session {message.session!r}, which is not its own")
            case messages.Lost(session=session, detail=detail):
                self._tell(self._sessions[session], detail)
            case messages.Navigated(session=session):
                self._navigated[session]()
            case _ if message.id in self._waiting:  # and was not given up
                self._pass_on(message, body)

    def _pass_on(self, answer: messages.Reply | messages.Piece, body: bytes) -> None:
        waiting = self._waiting[answer.id]
        if answer.session != waiting.session:
            self.lose(f"the host answered for {answer.session!r} what {waiting.session!r} had asked")
        elif not isinstance(answer, messages.Piece):
            del self._waiting[answer.id]
            waiting.put(answer)
        elif waiting.credit:
            waiting.credit -= 1
            waiting.put(body)
        else:
            self.lose("the host sent more of a stream than it may")

    async def _send(self, message: messages.ToHost) -> None:
        """Send a whole frame, even if cancelled: half a frame would break the connection.

        Raises `BrowserLost`.
        """
        async with self._sending:
            if self.loss.has_happened:
                raise self.loss.error()
            data = encode(message)
            try:
                with trio.fail_after(_SEND_S, shield=True):
                    await self.transport.send_all(data)
            except (trio.TooSlowError, trio.BrokenResourceError) as exc:
                self.lose(f"the host stopped reading: {exc!r}")
                raise self.loss.error() from exc

    def redact(self, text: str) -> str:
        """Return a text from the host without secrets, and shortened for the log."""
        return redact(text, self.secrets)[:_MAX_DETAIL]
