"""Carries out the daemon's requests: each in a task of its own, so that one can be given up."""

import asyncio
import contextlib
import socket

import attrs

from actors.browser import frames
from actors.browser.host.document import PageUnreachable
from actors.browser.host.driver import Driver
from actors.browser.host.session import BrowserSession

_RECEIVE_BYTES = 65536
_MAX_DETAIL = 4000
_GIVEN_UP = "given up"


async def serve(connection: socket.socket, driver: Driver | None = None) -> set[str]:
    """Answer requests on `connection` until the other side hangs up or breaks the protocol.

    A `driver` may be starting already; without one, the first launch starts it. Returns the markers of
    browsers that may still run.
    """
    reader, writer = await asyncio.open_connection(sock=connection)
    host = Host(writer=writer, driver=driver or Driver())
    host.tell(frames.Ready(version=frames.PROTOCOL_VERSION))
    watching = asyncio.create_task(host.watch_driver())
    buffer = frames.FrameBuffer()
    with contextlib.suppress(frames.FrameError, ConnectionError):
        while data := await reader.read(_RECEIVE_BYTES):
            for body in buffer.feed(data):
                host.take(frames.decode_to_host(body))
    watching.cancel()
    writer.close()
    return host.markers


@attrs.define(eq=False, kw_only=True)
class Host:
    """The sessions of this host and the requests under way."""

    writer: asyncio.StreamWriter
    driver: Driver
    _sessions: dict[str, BrowserSession] = attrs.field(factory=dict, init=False)
    _launches: dict[str, asyncio.Task[None]] = attrs.field(factory=dict, init=False)
    _tasks: dict[int, asyncio.Task[None]] = attrs.field(factory=dict, init=False)

    @property
    def markers(self) -> set[str]:
        """The markers of browsers that may still run, or may still be started."""
        return {browser.launch.marker for browser in self._sessions.values()}

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
        if isinstance(message, frames.Launch):
            self._launches[message.session] = task
        task.add_done_callback(lambda task: self._forget(message, task))

    def _forget(self, request: frames.Request, task: asyncio.Task[None]) -> None:
        del self._tasks[request.id]
        if task.cancelled():  # before it began
            self.tell(frames.Failed(id=request.id, session=request.session, detail=_GIVEN_UP))

    async def _answer(self, request: frames.Request) -> None:
        """Reply to `request` exactly once, whatever becomes of it."""
        id_, session = request.id, request.session
        reply: frames.Reply
        try:
            self.tell(await self._carry_out(request))
        except PageUnreachable as exc:
            reply = frames.Unreachable(id=id_, session=session, detail=_sendable(str(exc)))
        except asyncio.CancelledError:
            reply = frames.Failed(id=id_, session=session, detail=_GIVEN_UP)
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
                self._sessions[session] = browser = BrowserSession(
                    request, driver=self.driver, on_lost=lambda why: self._lost(session, why)
                )
                await browser.start()
            case frames.Navigate():
                await self._sessions[session].load(request.url)
            case frames.Inspect():
                finding = await self._sessions[session].inspect(request.method, request.selectors)
                return frames.Found(id=id_, session=session, finding=finding)
            case frames.Rehearse():
                await self._sessions[session].rehearse(request.url)
            case frames.Close():
                await self._sessions[session].close()
            case frames.Discard():
                await self._discard(session)
            case frames.Ping(session=""):
                # A running browser's own heartbeat asks the driver. This costs that 3 KB each time, for good.
                if any(not launch.done() for launch in self._launches.values()):
                    await self.driver.probe()
            case frames.Ping():
                await self._probe(session)
        return frames.Done(id=id_, session=session)

    async def _probe(self, session: str) -> None:
        browser = self._sessions.get(session)
        if browser is not None and not browser.is_leaving:
            try:
                await browser.probe()
            except Exception:
                if not browser.is_leaving:  # nobody has asked it to go meanwhile
                    raise

    async def _discard(self, session: str) -> None:
        if (launch := self._launches.pop(session, None)) is not None:
            launch.cancel()
            await asyncio.wait([launch])
        if (browser := self._sessions.get(session)) is not None:
            await browser.discard()
            del self._sessions[session]

    def _lost(self, session: str, why: str) -> None:
        browser = self._sessions.get(session)
        if browser is not None and not browser.is_leaving:
            browser.is_leaving = True
            self.tell(frames.Lost(session=session, detail=why))

    async def watch_driver(self) -> None:
        """Give this host up when its driver has died, or does not start."""
        await self.driver.lost.wait()
        self.tell(frames.Lost(detail="the browser driver died, or does not start"))


def _sendable(text: str) -> str:
    """Return `text`, not too long for a frame, with lone surrogates, such as a page may hold, as `?`."""
    return text[:_MAX_DETAIL].encode(errors="replace").decode()
