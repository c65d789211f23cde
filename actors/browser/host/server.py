"""Carries out the daemon's requests: each in its own task, so that it can be cancelled."""

import asyncio
import contextlib
import io
import socket
from typing import IO

import attrs
from playwright.async_api import Error

from greenroom.actors.actions.decoding import decode_input, decode_operation
from greenroom.actors.browser.host.browser import BrowserSession
from greenroom.actors.browser.host.document import PageUnreachable
from greenroom.actors.browser.host.driver import Driver
from greenroom.actors.browser.host.failures import OperationFailed
from greenroom.actors.browser.host.files import take_file
from greenroom.actors.browser.host.outbox import Outbox
from greenroom.actors.browser.wire import messages
from greenroom.actors.browser.wire.frames import split_frame
from greenroom.actors.browser.wire.framing import (
    MAX_PIECE_BYTES,
    FrameBuffer,
    FrameError,
    decode_to_host,
    encode,
)
from greenroom.actors.machine.frame import Frame

_RECEIVE_BYTES = 65536
_MAX_DETAIL = 4000
_GIVEN_UP = "given up"


async def serve(connection: socket.socket, driver: Driver | None = None) -> set[str]:
    """Answer requests on `connection` until the other side hangs up or breaks the protocol.

    A `driver` may be starting already; without one, the first launch starts it. Returns the markers of
    browsers that may still run.
    """
    # Limited to one piece, since frames that the kernel has taken can't be overtaken any more.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_PIECE_BYTES)
    reader, writer = await asyncio.open_connection(sock=connection)
    host = Host(outbox=Outbox(writer), driver=driver or Driver())
    host.tell(messages.Ready(version=messages.PROTOCOL_VERSION))
    tasks = [asyncio.create_task(host.outbox.run()), asyncio.create_task(host.watch_driver())]
    buffer = FrameBuffer()
    with contextlib.suppress(FrameError, ConnectionError):
        while data := await reader.read(_RECEIVE_BYTES):
            for frame in buffer.feed(data):
                host.take(decode_to_host(frame))
    for task in tasks:
        task.cancel()
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        await tasks[0]
    writer.close()
    return host.markers


@attrs.define(eq=False, kw_only=True)
class Host:
    """This host's sessions and current requests, with the credit of those that send pieces."""

    outbox: Outbox
    driver: Driver
    _sessions: dict[str, BrowserSession] = attrs.field(factory=dict, init=False)
    _launches: dict[str, asyncio.Task[None]] = attrs.field(factory=dict, init=False)
    _tasks: dict[int, asyncio.Task[None]] = attrs.field(factory=dict, init=False)
    _credits: dict[int, asyncio.Semaphore] = attrs.field(factory=dict, init=False)

    @property
    def markers(self) -> set[str]:
        """The markers of browsers that may still run, or may still be started."""
        return {browser.launch.marker for browser in self._sessions.values()}

    def tell(self, message: messages.FromHost) -> None:
        """Send a frame."""
        self.outbox.put(encode(message))

    def take(self, message: messages.ToHost) -> None:
        """Start a request, give one credit, or cancel one. A request that is over is left alone."""
        match message:
            case messages.Cancel(id=id_):
                if id_ in self._tasks:
                    self._tasks[id_].cancel()
            case messages.Credit(id=id_, pieces=pieces):
                if id_ in self._credits:
                    for _ in range(pieces):
                        self._credits[id_].release()
            case _:
                self._start(message)

    def _start(self, request: messages.Request) -> None:
        task = asyncio.create_task(self._answer(request))
        self._tasks[request.id] = task
        if isinstance(request, messages.Launch):
            self._launches[request.session] = task
        if isinstance(request, messages.Streaming):
            self._credits[request.id] = asyncio.Semaphore(request.credit)
        task.add_done_callback(lambda task: self._forget(request, task))

    def _forget(self, request: messages.Request, task: asyncio.Task[None]) -> None:
        del self._tasks[request.id]
        self._credits.pop(request.id, None)
        if task.cancelled():  # it was cancelled before it began
            self.tell(messages.Failed(id=request.id, session=request.session, detail=_GIVEN_UP))

    async def _answer(self, request: messages.Request) -> None:
        """Reply to `request` exactly once, whatever happens to it."""
        id_, session = request.id, request.session
        reply: messages.Reply
        try:
            self.tell(await self._carry_out(request))
        except PageUnreachable as exc:
            reply = messages.Unreachable(id=id_, session=session, detail=_sendable(str(exc)))
        except OperationFailed as exc:
            reply = messages.Failed(
                id=id_,
                session=session,
                detail=exc.kind.value,
                kind=exc.kind,
                told=_sendable(str(exc)),
                matches=exc.matches,
            )
        except asyncio.CancelledError:
            reply = messages.Failed(id=id_, session=session, detail=_GIVEN_UP)
        except Exception as exc:  # one session's failure must not end the host, even a failure to word it
            detail = _sendable(f"{type(exc).__name__}: {exc}")
            reply = messages.Failed(id=id_, session=session, detail=detail)
        else:
            return
        self.tell(reply)

    async def _carry_out(self, request: messages.Request) -> messages.Reply:  # noqa: C901  # one case a kind
        id_, session = request.id, request.session
        match request:
            case messages.Launch():
                self._sessions[session] = browser = BrowserSession(
                    request,
                    driver=self.driver,
                    on_lost=lambda why: self._lost(session, why),
                    on_navigated=lambda: self.tell(messages.Navigated(session=session)),
                )
                await browser.start()
            case messages.Navigate():
                await self._sessions[session].load(request.url)
            case messages.Inspect():
                finding = await self._sessions[session].inspect(request.method, request.selectors)
                return messages.Found(id=id_, session=session, finding=finding)
            case messages.Perform():
                await self._perform(request)
            case messages.View():
                await self._view(request)
            case messages.Record(picture=picture, page=page):
                recorded = await self._sessions[session].record(picture=picture, page=page)
                await self._send(request, io.BytesIO(recorded))
            case messages.Input(input=text, timeout_s=timeout_s):
                await self._sessions[session].do_by_hand(decode_input(text), timeout_s)
            case messages.Restore(state=state):
                await self._sessions[session].restore(state)
            case messages.Rehearse():
                await self._sessions[session].rehearse(request.url)
            case messages.Bind(dialogs=dialogs):
                socket_, browser_guid = await self._sessions[session].bind(dialogs=dialogs)
                return messages.Bound(id=id_, session=session, socket=socket_, browser=browser_guid)
            case messages.Close():
                await self._sessions[session].close()
            case messages.Discard():
                await self._discard(session)
            case messages.Ping():
                await (self._probe(session) if session else self._probe_driver())
        return messages.Done(id=id_, session=session)

    async def _perform(self, request: messages.Perform) -> None:
        """Carry out an operation and send its result in pieces, as the credit for them comes."""
        browser = self._sessions[request.session]
        async with browser.sending:
            try:
                result = await browser.perform(decode_operation(request.operation), request.timeout_s)
            except (Error, OperationFailed, PageUnreachable):
                raise
            except Exception as exc:  # such as a value that Playwright can't send; the browser is well
                raise OperationFailed(messages.Failure.ACTION, f"{type(exc).__name__}: {exc}") from exc
            with io.BytesIO(result) if isinstance(result, bytes) else take_file(result) as file:
                await self._send(request, file)

    async def _view(self, request: messages.View) -> None:
        """Send pictures of the page, as the credit for their pieces comes, until this is cancelled."""

        async def send(frame: Frame) -> None:
            for piece in split_frame(frame):
                await self._send_piece(request, piece)

        await self._sessions[request.session].view(request.fps, request.quality, send)

    async def _send(self, request: messages.Streaming, file: IO[bytes]) -> None:
        while piece := file.read(MAX_PIECE_BYTES):
            await self._send_piece(request, piece)

    async def _send_piece(self, request: messages.Streaming, piece: bytes) -> None:
        await self._credits[request.id].acquire()
        await self.outbox.put_piece(encode(messages.Piece(id=request.id, session=request.session), piece))

    async def _probe_driver(self) -> None:
        # Only during a launch: a browser's own probe asks the driver too, and each costs it 3 KB for good.
        if any(not launch.done() for launch in self._launches.values()):
            await self.driver.probe()

    async def _probe(self, session: str) -> None:
        browser = self._sessions.get(session)
        if browser is not None and not browser.is_leaving:
            try:
                await browser.probe()
            except Exception:
                if not browser.is_leaving:  # it was not asked to go
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
            self.tell(messages.Lost(session=session, detail=why))

    async def watch_driver(self) -> None:
        """Give this host up when its driver has died or does not start."""
        await self.driver.lost.wait()
        self.tell(messages.Lost(detail="the browser driver died, or does not start"))


def _sendable(text: str) -> str:
    """Return `text`, shortened to fit a frame, with `?` for lone surrogates, which a page may contain."""
    return text[:_MAX_DETAIL].encode(errors="replace").decode()
