"""A conversation with one browser host, which serves several sessions."""

import contextlib
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Self

import attrs
import structlog
import trio

from greenroom.actors.browser.client.loss import Loss
from greenroom.actors.browser.client.redact import redact
from greenroom.actors.browser.client.transport import Transport
from greenroom.actors.browser.wire import messages
from greenroom.actors.browser.wire.framing import FrameBuffer, FrameError, decode_from_host, encode
from greenroom.actors.errors import BrowserLost

# How many pieces of one stream may be under way or unread: 256 KB.
WINDOW: Final = 4

# A browser in a burst of launches on few cores answers late; one that is stopped never does.
_HEARTBEAT_S = 2.0
_STALLED_S = 15.0
_MAX_DETAIL = 2000
# A frame is far smaller than the socket's buffer: only a host that no longer reads makes sending wait.
_SEND_S = 1.0
# In frames that are about the host itself.
_NO_SESSION = ""

_log = structlog.get_logger("greenroom.host")


@attrs.define(eq=False)
class _Waiting:
    """Somebody who waits for pieces and a reply about a session, unless the loss happens.

    The channel has room for the reply, and for all the pieces that the host has credit for.
    """

    session: str
    loss: Loss
    answer_to: trio.MemorySendChannel[messages.Reply | bytes]
    credit: int

    def put(self, answer: messages.Reply | bytes) -> None:
        """Pass on a reply, or a piece for which there was credit."""
        with contextlib.suppress(trio.ClosedResourceError):  # lost, and not told yet
            self.answer_to.send_nowait(answer)


@attrs.define(eq=False)
class Stream:
    """The pieces that are sent for a request, in order; after the last of them there is the `reply`.

    Iterating raises `BrowserLost` when the browser is lost before the reply.
    """

    _link: "HostLink"
    _request: messages.Request
    _loss: Loss
    _answer: trio.MemoryReceiveChannel[messages.Reply | bytes]
    reply: messages.Reply | None = attrs.field(default=None, init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            received = await self._answer.receive()
        except trio.EndOfChannel:
            raise self._loss.error() from None
        if not isinstance(received, bytes):
            self.reply = received
            raise StopAsyncIteration
        await self._link.give_credit(self._request)
        return received


@attrs.define(eq=False, kw_only=True, repr=False)
class HostLink:
    """A conversation with a host over `transport`: requests out, each answered by its own reply.

    Every request ends in a reply or `BrowserLost`. The first sign that the host is gone, stalls, or breaks
    the protocol is its loss, and that of all its sessions; one whose browser alone is gone or stalls is lost
    alone. Every request for what is lost, under way or made later, raises `BrowserLost`.

    Receiving never waits for whoever reads a stream: a host that sends more than it has credit for has broken
    the protocol. Frames to the host go out in the order in which they were asked for.
    """

    host: str
    transport: Transport
    secrets: tuple[str, ...] = ()
    loss: Loss = attrs.field(factory=Loss, init=False)
    running: trio.CancelScope = attrs.field(factory=lambda: trio.CancelScope(shield=True), init=False)
    _ready: trio.Event = attrs.field(factory=trio.Event, init=False)
    _next_id: int = attrs.field(default=1, init=False)
    _sessions: dict[str, Loss] = attrs.field(factory=dict, init=False)
    _left: set[str] = attrs.field(factory=set, init=False)
    _waiting: dict[int, _Waiting] = attrs.field(factory=dict, init=False)
    _sending: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def run(self) -> None:
        """Keep the conversation going until `running` is cancelled.

        A cancellation from outside does not end it: a session that is cancelled still has to tell its
        browser to close, and to hear that it has.
        """
        with self.running:
            async with trio.open_nursery() as nursery:
                for task in (self.receive, self.watch_process, self.log_output, self.beat):
                    nursery.start_soon(self._contain, task)

    async def _contain(self, task: Callable[[], Awaitable[None]]) -> None:
        """Carry out a task. Whatever it raises ends this conversation, and nothing else."""
        try:
            await task()
        except Exception as exc:
            self.lose(f"the conversation failed: {exc!r}")
            detail = redact("".join(traceback.format_exception(exc)), self.secrets)[-_MAX_DETAIL:]
            _log.error("a conversation with a browser host failed", host=self.host, detail=detail)

    def enter(self, session: str) -> Loss:
        """Join the conversation as `session`; return an object that reports the loss of its browser."""
        self._left.discard(session)
        self._sessions[session] = loss = Loss()
        if self.loss.has_happened:
            loss.happen(self.loss.why)
        return loss

    def leave(self, session: str) -> None:
        """Take part no more: what the host still says of the session is nobody's business. Idempotent."""
        self._sessions.pop(session, None)
        self._left.add(session)

    def next_id(self) -> int:
        """Return an id for the next request."""
        self._next_id += 1
        return self._next_id

    async def wait_ready(self) -> None:
        """Return once the host can be asked. Raises `BrowserLost` when it never will be."""
        await self._ready.wait()
        if self.loss.has_happened:
            raise self.loss.error()

    async def request(self, request: messages.Request, loss: Loss | None = None) -> messages.Reply:
        """Send `request` once the host is ready and return the reply to it.

        Cancelling tells the host to give the request up. Raises `BrowserLost` at `loss`, or else that of the
        host, and `FrameError`, with the conversation unharmed, for a request that no frame can hold.
        """
        async with self._open_stream(request, 0, loss or self.loss) as stream:
            async for _ in stream:
                pass  # without credit no piece comes
            assert stream.reply is not None  # noqa: S101  # it is what ends a stream
            return stream.reply

    def open_stream(
        self, request: messages.Streaming, loss: Loss
    ) -> contextlib.AbstractAsyncContextManager[Stream]:
        """Send `request` once the host is ready; the block reads what is sent for it.

        Leaving the block before the reply has come tells the host to give the request up. Raises what
        `request` does.
        """
        return self._open_stream(request, request.credit, loss)

    @contextlib.asynccontextmanager
    async def _open_stream(self, request: messages.Request, credit: int, loss: Loss) -> AsyncIterator[Stream]:
        await self._ready.wait()
        send, receive = trio.open_memory_channel[messages.Reply | bytes](credit + 1)
        with send, receive:
            self._waiting[request.id] = _Waiting(request.session, loss, send, credit)
            try:
                if loss.has_happened:
                    raise loss.error()
                await self._send(request)
                try:
                    yield Stream(self, request, loss, receive)
                finally:
                    if request.id in self._waiting and not loss.has_happened:
                        await self._give_up(request)
            finally:
                self._waiting.pop(request.id, None)

    async def _give_up(self, request: messages.Request) -> None:
        with trio.move_on_after(1, shield=True), contextlib.suppress(BrowserLost):
            await self._send(messages.Cancel(session=request.session, id=request.id))

    async def give_credit(self, request: messages.Request) -> None:
        """Let the host send one more piece for `request`, unless its reply has come. Raises `BrowserLost`."""
        if (waiting := self._waiting.get(request.id)) is not None:
            waiting.credit += 1
            await self._send(messages.Credit(session=request.session, id=request.id, pieces=1))

    def lose(self, why: str) -> None:
        """Give the host up: wake every request with `BrowserLost`. The first reason stays."""
        for loss in (self.loss, *self._sessions.values()):
            self._tell(loss, why)
        self._ready.set()

    def _tell(self, loss: Loss, why: str) -> None:
        loss.happen(self.redact(why))
        for waiting in self._waiting.values():
            if waiting.loss is loss:
                waiting.answer_to.close()

    async def receive(self) -> None:
        """Take in frames until the host ends the conversation or breaks the protocol."""
        buffer = FrameBuffer()
        try:
            while data := await self.transport.receive_some():
                for frame in buffer.feed(data):
                    self._take(decode_from_host(frame), frame.body)
            self.lose("the host closed the conversation")
        except (FrameError, trio.BrokenResourceError) as exc:
            self.lose(str(exc))

    async def watch_process(self) -> None:
        """Notice the host's death."""
        await self.transport.wait_died()
        self.lose("the host process died")

    async def beat(self) -> None:
        """Notice a host that no longer answers, and a browser in it that does not."""
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
        """Pass on what the host, its driver and its browsers print, redacted."""
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
        """Send a frame, all of it even if cancelled: half a frame would end the conversation.

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
        """Return `text`, which the host said, without secrets and not too long to be logged."""
        return redact(text, self.secrets)[:_MAX_DETAIL]
