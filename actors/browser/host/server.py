"""Carries out the daemon's requests: each in a task of its own, so that one can be given up."""

import asyncio
import contextlib
import socket

import attrs

from actors.browser import frames
from actors.browser.host.driver import Driver
from actors.browser.host.session import BrowserSession, PageUnreachable

_RECEIVE_BYTES = 65536
_MAX_DETAIL = 4000


async def serve(connection: socket.socket, driver: Driver | None = None) -> None:
    """Answer requests on `connection` until the other side hangs up or breaks the protocol.

    A `driver` may be starting already; without one, the first launch starts it.
    """
    reader, writer = await asyncio.open_connection(sock=connection)
    host = Host(writer=writer, driver=driver or Driver())
    host.tell(frames.Ready(version=frames.PROTOCOL_VERSION))
    buffer = frames.FrameBuffer()
    with contextlib.suppress(frames.FrameError, ConnectionError):
        while data := await reader.read(_RECEIVE_BYTES):
            for body in buffer.feed(data):
                host.take(frames.decode_to_host(body))
    writer.close()


@attrs.define(eq=False, kw_only=True)
class Host:
    """The sessions of this host and the requests under way."""

    writer: asyncio.StreamWriter
    driver: Driver
    _sessions: dict[str, BrowserSession] = attrs.field(factory=dict, init=False)
    _tasks: dict[int, asyncio.Task[None]] = attrs.field(factory=dict, init=False)

    def tell(self, message: frames.FromHost) -> None:
        """Send a frame, unless nobody listens any more."""
        if not self.writer.is_closing():
            self.writer.write(frames.encode(message))

    def take(self, message: frames.ToHost) -> None:
        """Start on a request, or give one up."""
        if isinstance(message, frames.Cancel):
            if message.id in self._tasks:
                self._tasks[message.id].cancel()
            return
        task = asyncio.create_task(self._answer(message))
        self._tasks[message.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(message.id))

    async def _answer(self, request: frames.Request) -> None:
        """Reply to `request` exactly once, whatever becomes of it."""
        id_, session = request.id, request.session
        reply: frames.Reply
        try:
            self.tell(await self._carry_out(request))
        except PageUnreachable as exc:
            reply = frames.Unreachable(id=id_, session=session, detail=_sendable(str(exc)))
        except asyncio.CancelledError:
            reply = frames.Failed(id=id_, session=session, detail="given up")
        except Exception as exc:  # one session's failure, to find words included, must not end the host
            detail = _sendable(f"{type(exc).__name__}: {exc}")
            reply = frames.Failed(id=id_, session=session, detail=detail)
        else:
            return
        self.tell(reply)

    async def _carry_out(self, request: frames.Request) -> frames.Reply:
        id_, session = request.id, request.session
        match request:
            case frames.Launch():
                browser = BrowserSession(
                    request, driver=self.driver, on_lost=lambda why: self._lost(session, why)
                )
                await browser.start()
                self._sessions[session] = browser
            case frames.Navigate():
                await self._sessions[session].load(request.url)
            case frames.Inspect():
                finding = await self._sessions[session].inspect(request.method, request.selectors)
                return frames.Found(id=id_, session=session, finding=finding)
            case frames.Close():
                await self._sessions.pop(session).close()
            case frames.Ping():
                if session in self._sessions:
                    await self._sessions[session].probe()
        return frames.Done(id=id_, session=session)

    def _lost(self, session: str, why: str) -> None:
        if self._sessions.pop(session, None):
            self.tell(frames.Lost(session=session, detail=why))


def _sendable(text: str) -> str:
    """Return `text`, not too long for a frame, with lone surrogates, such as a page may hold, as `?`."""
    return text[:_MAX_DETAIL].encode(errors="replace").decode()
