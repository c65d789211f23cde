"""A conversation with one browser host, which serves several sessions."""

import contextlib
import traceback
from collections.abc import Awaitable, Callable

import attrs
import structlog
import trio

from actors.browser import frames
from actors.browser.cells import Cell
from actors.browser.redact import redact
from actors.errors import BrowserLost

# A browser in a burst of launches on few cores answers late; one that is stopped never does.
_HEARTBEAT_S = 2.0
_STALLED_S = 15.0
_RECEIVE_BYTES = 65536
# Longer lines of output are left out whole: a part of one might be a secret that nothing marks any more.
_MAX_LINE_BYTES = 8192
_MAX_DETAIL = 2000
# A frame is far smaller than the socket's buffer: only a host that no longer reads makes sending wait.
_SEND_S = 1.0
# In frames that are about the host itself.
_NO_SESSION = ""

_log = structlog.get_logger("greenroom.host")


@attrs.define(eq=False)
class Loss:
    """Whether a host, or a session's browser in it, is lost, and why. The first reason stays."""

    why: str = attrs.field(default="", init=False)
    _event: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def has_happened(self) -> bool:
        """Whether it is lost."""
        return self._event.is_set()

    def happen(self, why: str) -> None:
        """Wake everybody who waits."""
        if not self.has_happened:
            self.why = why
            self._event.set()

    async def wait(self) -> None:
        """Return once it is lost."""
        await self._event.wait()

    def error(self) -> BrowserLost:
        """Return an error that tells why it was lost."""
        return BrowserLost("The browser was lost", detail=self.why)


@attrs.frozen
class _Waiting:
    """Somebody who waits for a reply about a session, unless the loss happens."""

    session: str
    loss: Loss
    reply_to: trio.MemorySendChannel[frames.Reply]


@attrs.define(eq=False, kw_only=True, repr=False)
class HostLink:
    """A conversation with the host in `cell`: requests out, each answered by its own reply.

    Nobody waits in vain. The first sign that the host is gone, stalls, or breaks the protocol is its loss,
    and that of all its sessions; one whose browser alone is gone or stalls is lost alone. Every request for
    what is lost, under way or made later, raises `BrowserLost`.
    """

    host: str
    cell: Cell
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
        """Take part in the conversation as `session`; return what tells of its browser's loss."""
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

    async def request(self, request: frames.Request, loss: Loss | None = None) -> frames.Reply:
        """Send `request` once the host is ready and return the reply to it.

        Cancelling tells the host to give the request up. Raises `BrowserLost` at `loss`, or else that of the
        host, and `FrameError`, with the conversation unharmed, for a request that no frame can hold.
        """
        loss = loss or self.loss
        await self._ready.wait()
        send, receive = trio.open_memory_channel[frames.Reply](1)
        with send, receive:
            self._waiting[request.id] = _Waiting(request.session, loss, send)
            try:
                if loss.has_happened:
                    raise loss.error()
                await self._send(request)
                return await receive.receive()
            except trio.EndOfChannel:
                raise loss.error() from None
            except trio.Cancelled:
                with trio.move_on_after(1, shield=True), contextlib.suppress(BrowserLost):
                    await self._send(frames.Cancel(session=request.session, id=request.id))
                raise
            finally:
                self._waiting.pop(request.id, None)

    def lose(self, why: str) -> None:
        """Give the host up: wake every request with `BrowserLost`. The first reason stays."""
        for loss in (self.loss, *self._sessions.values()):
            self._tell(loss, why)
        self._ready.set()

    def _tell(self, loss: Loss, why: str) -> None:
        loss.happen(self.redact(why))
        for waiting in self._waiting.values():
            if waiting.loss is loss:
                waiting.reply_to.close()

    async def receive(self) -> None:
        """Take in frames until the host ends the conversation or breaks the protocol."""
        buffer = frames.FrameBuffer()
        try:
            while data := await self.cell.socket.receive_some(_RECEIVE_BYTES):
                for body in buffer.feed(data):
                    self._take(frames.decode_from_host(body))
            self.lose("the host closed the conversation")
        except (frames.FrameError, trio.BrokenResourceError) as exc:
            self.lose(str(exc))

    async def watch_process(self) -> None:
        """Notice the host's death."""
        await self.cell.wait_first()
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
        reply: frames.Reply | None = None
        with trio.move_on_after(_STALLED_S) as answering, contextlib.suppress(BrowserLost):
            reply = await self.request(frames.Ping(id=self.next_id(), session=session), loss)
        asked.discard(session)
        who = "the browser" if session else "the host"
        if answering.cancelled_caught:
            self._lose_one(session, loss, f"{who} did not answer for {_STALLED_S:g} seconds")
        elif isinstance(reply, frames.Failed):
            self._lose_one(session, loss, f"{who} is unwell: {reply.detail}")

    def _lose_one(self, session: str, loss: Loss, why: str) -> None:
        if not session:
            self.lose(why)
        elif self._sessions.get(session) is loss:
            self._tell(loss, why)

    async def log_output(self) -> None:
        """Pass on what the host, its driver and its browsers print, redacted."""
        rest = b""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for chunk in self.cell.output:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._log_line(line)
                rest = rest[: _MAX_LINE_BYTES + 1]
            self._log_line(rest)

    def _log_line(self, line: bytes) -> None:
        if len(line) > _MAX_LINE_BYTES:
            line = b"(a line too long to be logged)"
        text = redact(line.decode(errors="replace"), self.secrets).strip()
        if text:
            _log.debug("host output", host=self.host, line=text)

    def _take(self, message: frames.FromHost) -> None:
        match message:
            case frames.Ready(version=frames.PROTOCOL_VERSION):
                self._ready.set()
            case frames.Ready(version=version):
                self.lose(f"the host speaks protocol {version}, not {frames.PROTOCOL_VERSION}")
            case frames.Lost(session="", detail=detail):
                self.lose(detail)
            case _ if message.session in self._left:
                pass
            case _ if message.session and message.session not in self._sessions:
                self.lose(f"the host spoke of the session {message.session!r}, which is not its own")
            case frames.Lost(session=session, detail=detail):
                self._tell(self._sessions[session], detail)
            case _ if message.id not in self._waiting:
                pass  # the reply to a request that was given up
            case _ if message.session != (asker := self._waiting[message.id].session):
                self.lose(f"the host answered for {message.session!r} what {asker!r} had asked")
            case _:
                with contextlib.suppress(trio.ClosedResourceError):  # lost, and not told yet
                    self._waiting.pop(message.id).reply_to.send_nowait(message)

    async def _send(self, message: frames.ToHost) -> None:
        """Send a frame, all of it even if cancelled: half a frame would end the conversation.

        Raises `BrowserLost`.
        """
        async with self._sending:
            if self.loss.has_happened:
                raise self.loss.error()
            data = frames.encode(message)
            try:
                with trio.fail_after(_SEND_S, shield=True):
                    await self.cell.socket.send_all(data)
            except (trio.TooSlowError, trio.BrokenResourceError) as exc:
                self.lose(f"the host stopped reading: {exc!r}")
                raise self.loss.error() from exc

    def redact(self, text: str) -> str:
        """Return `text`, which the host said, without secrets and not too long to be logged."""
        return redact(text, self.secrets)[:_MAX_DETAIL]
