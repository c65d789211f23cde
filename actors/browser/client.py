"""The daemon's side of a browser host: starts it, asks it, and notices when it is gone."""

import contextlib
import functools
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import attrs
import structlog
import trio

from actors.browser import frames
from actors.browser.browser_cell import write_browser_cell
from actors.browser.cells import Cell, Sandbox, open_cell
from actors.browser.engines import Engine
from actors.browser.redact import redact
from actors.errors import BrowserLost, EngineUnavailable, UpstreamUnreachable
from actors.ledger import Ledger
from actors.lifecycle import ProcessCount
from actors.resources import Promises, Usage, measure
from actors.verdict import Finding, Method

HOST_COMMAND = (sys.executable, "-P", "-m", "actors.browser.host")

# A browser in a burst of launches on few cores answers late; one that is stopped never does.
_HEARTBEAT_S = 2.0
_STALLED_S = 15.0
_RECEIVE_BYTES = 65536
# Longer lines of output are left out whole: a part of one might be a secret that nothing marks any more.
_MAX_LINE_BYTES = 8192
_MAX_DETAIL = 2000
# A frame is far smaller than the socket's buffer: only a host that no longer reads makes sending wait.
_SEND_S = 1.0

_log = structlog.get_logger("greenroom.host")


@attrs.frozen(kw_only=True)
class BrowserHosts:
    """Runs each browser in a host process, and that in a cell, of its own. Satisfies `ports.Browsers`.

    With a `ledger`, whoever comes after a crash of this process can end what is left of them, and what a
    session was promised counts as taken once its browser runs.
    """

    engine: Engine
    sandbox: Sandbox
    proxy: frames.Proxy | None = None
    ledger: Ledger | None = None
    host_command: Sequence[str] = HOST_COMMAND

    @contextlib.asynccontextmanager
    async def open_host(self, session_id: str) -> AsyncIterator["ScraplingFetcherAdapter"]:
        """Start a host for one session; see `ports.Browsers`."""
        async with self._open_cell(session_id) as cell, trio.open_nursery() as nursery:
            link = HostLink(session=session_id, cell=cell, secrets=self._secrets())
            nursery.start_soon(link.run)
            adapter = ScraplingFetcherAdapter(
                link=link,
                engine=self.engine,
                proxy=self.proxy,
                sandbox=self.sandbox,
                promises=self.ledger.promises if self.ledger else Promises(),
            )
            try:
                yield adapter
            finally:
                try:
                    with trio.CancelScope(shield=True):
                        await adapter.count_forced()
                finally:
                    link.running.cancel(reason="the session is over")

    @contextlib.asynccontextmanager
    async def _open_cell(self, session_id: str) -> AsyncIterator[Cell]:
        if self.ledger is None:
            async with open_cell(self.host_command, self.sandbox) as cell:
                yield cell
            return
        async with (
            self.ledger.hold(session_id) as entry,
            open_cell(
                self.host_command, self.sandbox, marker=entry.marker, scratch=Path(entry.scratch)
            ) as cell,
        ):
            await self.ledger.add_processes(session_id, cell.pids())
            yield cell

    def _secrets(self) -> tuple[str, ...]:
        return (self.proxy.username, self.proxy.password) if self.proxy else ()


@attrs.define(eq=False, kw_only=True)
class HostLink:
    """A conversation with one host: requests out, each answered by its own reply; never waits in vain.

    The first sign that the host is gone, stalls, or breaks the protocol sets `lost`, and every request then
    under way or made later raises `BrowserLost`.
    """

    session: str
    cell: Cell
    secrets: tuple[str, ...] = ()
    lost: trio.Event = attrs.field(factory=trio.Event, init=False)
    died: trio.Event = attrs.field(factory=trio.Event, init=False)
    running: trio.CancelScope = attrs.field(factory=lambda: trio.CancelScope(shield=True), init=False)
    _ready: trio.Event = attrs.field(factory=trio.Event, init=False)
    _why_lost: str = attrs.field(default="", init=False)
    _next_id: int = attrs.field(default=1, init=False)
    _waiting: dict[int, trio.MemorySendChannel[frames.Reply]] = attrs.field(factory=dict, init=False)
    _sending: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def run(self) -> None:
        """Keep the conversation going until `running` is cancelled.

        A cancellation from outside does not end it: a session that is cancelled still has to tell its
        browser to close, and to hear that it has.
        """
        with self.running:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.receive)
                nursery.start_soon(self.watch_process)
                nursery.start_soon(self.log_output)
                nursery.start_soon(self.beat)

    def next_id(self) -> int:
        """Return an id for the next request."""
        self._next_id += 1
        return self._next_id

    async def request(self, request: frames.Request) -> frames.Reply:
        """Send `request` once the host is ready and return the reply to it.

        Cancelling tells the host to give the request up. Raises `BrowserLost`, and `FrameError`, with the
        conversation unharmed, for a request that no frame can hold.
        """
        await self._ready.wait()
        send, receive = trio.open_memory_channel[frames.Reply](1)
        self._waiting[request.id] = send
        with send, receive:
            try:
                await self._send(request)
                return await receive.receive()
            except trio.EndOfChannel:
                raise self.lost_error() from None
            except trio.Cancelled:
                with trio.move_on_after(1, shield=True), contextlib.suppress(BrowserLost):
                    await self._send(frames.Cancel(session=self.session, id=request.id))
                raise
            finally:
                self._waiting.pop(request.id, None)

    async def hang_up(self) -> None:
        """End the conversation, at which the host ends itself, and return when it has."""
        self.lose("the conversation was ended")
        async with self._sending:
            with contextlib.suppress(trio.BrokenResourceError):
                await self.cell.socket.send_eof()
        await self.died.wait()

    def lose(self, why: str) -> None:
        """Give the host up: wake every request with `BrowserLost`. The first reason stays."""
        if not self.lost.is_set():
            self._why_lost = self.redact(why)
            self.lost.set()
            self._ready.set()
            for waiting in self._waiting.values():
                waiting.close()
            self._waiting.clear()

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
        self.died.set()
        self.lose("the host process died")

    async def beat(self) -> None:
        """Notice a host that no longer answers."""
        while not self.lost.is_set():
            with trio.move_on_after(_STALLED_S) as answering, contextlib.suppress(BrowserLost):
                await self.request(frames.Ping(id=self.next_id(), session=self.session))
            if answering.cancelled_caught:
                self.lose(f"the browser did not answer for {_STALLED_S:g} seconds")
            await trio.sleep(_HEARTBEAT_S)

    async def log_output(self) -> None:
        """Pass on what the host, its driver and its browser print, redacted."""
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
            _log.debug("host output", session_id=self.session, line=text)

    def _take(self, message: frames.FromHost) -> None:
        match message:
            case frames.Ready(version=frames.PROTOCOL_VERSION):
                self._ready.set()
            case frames.Ready(version=version):
                self.lose(f"the host speaks protocol {version}, not {frames.PROTOCOL_VERSION}")
            case _ if message.session != self.session:
                self.lose(f"the host spoke of the session {message.session!r}, which is not its own")
            case frames.Lost(detail=detail):
                self.lose(detail)
            case _ if message.id in self._waiting:
                self._waiting.pop(message.id).send_nowait(message)
            case _:
                pass  # the reply to a request that was given up

    async def _send(self, message: frames.ToHost) -> None:
        """Send a frame, all of it even if cancelled: half a frame would end the conversation.

        Raises `BrowserLost`.
        """
        async with self._sending:
            if self.lost.is_set():
                raise self.lost_error()
            data = frames.encode(message)
            try:
                with trio.fail_after(_SEND_S, shield=True):
                    await self.cell.socket.send_all(data)
            except (trio.TooSlowError, trio.BrokenResourceError) as exc:
                self.lose(f"the host stopped reading: {exc!r}")
                raise self.lost_error() from exc

    def redact(self, text: str) -> str:
        """Return `text`, which the host said, without secrets and not too long to be logged."""
        return redact(text, self.secrets)[:_MAX_DETAIL]

    def lost_error(self) -> BrowserLost:
        """Return an error that tells why the host was lost."""
        return BrowserLost("The browser was lost", detail=self._why_lost)


@attrs.define(eq=False, kw_only=True)
class ScraplingFetcherAdapter:
    """The face of a Scrapling session to the actor. Satisfies `ports.Browser`."""

    _link: HostLink
    _engine: Engine
    _proxy: frames.Proxy | None
    _sandbox: Sandbox
    _promises: Promises
    ended: ProcessCount = attrs.field(factory=ProcessCount, init=False)

    async def launch(self, profile: Path, *, headless: bool) -> None:
        """Run the browser; see `ports.Browser`."""
        run_as = await self._make_browser_cell(profile, headless)
        request = frames.Launch(
            id=self._link.next_id(),
            session=self._link.session,
            engine=self._engine.name.value,
            executable=str(self._engine.executable),
            run_as=run_as,
            profile=str(profile),
            headless=headless,
            proxy=self._proxy,
        )
        reply = await self._ask(request)
        if isinstance(reply, frames.Failed):
            raise EngineUnavailable("The browser does not start", detail=self._redact(reply.detail))
        self._promises.browser_runs(self._link.session)

    async def _make_browser_cell(self, profile: Path, headless: bool) -> str | None:
        if self._sandbox is Sandbox.NONE:
            return None
        script = self._link.cell.scratch / "browser"
        write = functools.partial(
            write_browser_cell, script, executable=self._engine.executable, profile=profile, headless=headless
        )
        try:
            await trio.to_thread.run_sync(write)
        except OSError as exc:
            raise EngineUnavailable("The browser does not start", detail=str(exc)) from exc
        return str(script)

    async def navigate(self, url: str) -> None:
        """Load `url`; see `ports.Browser`."""
        await self._load(url)

    async def refresh(self) -> None:
        """Load the page again; see `ports.Browser`."""
        await self._load(None)

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        """Look at the page; see `ports.Browser`."""
        reply = await self._ask(
            frames.Inspect(
                id=self._link.next_id(), session=self._link.session, method=method, selectors=selectors
            )
        )
        if isinstance(reply, frames.Found):
            return reply.finding
        raise BrowserLost("The browser does not show its page", detail=self._redact(_detail(reply)))

    async def probe(self) -> None:
        """Wait for an answer; see `ports.Browser`."""
        await self._ask(frames.Ping(id=self._link.next_id(), session=self._link.session))

    async def wait_lost(self) -> None:
        """Wait for the end of it; see `ports.Browser`."""
        await self._link.lost.wait()
        raise self._link.lost_error()

    async def measure(self, clone: Path) -> Usage:
        """Sample what is used; see `ports.Browser`."""
        cell = self._link.cell
        return await trio.to_thread.run_sync(
            lambda: measure(cell.census(), [clone, cell.scratch]), abandon_on_cancel=True
        )

    async def close(self) -> None:
        """End the browser politely, then its host; see `ports.Browser`."""
        cell = self._link.cell
        before = await trio.to_thread.run_sync(cell.census)
        await self._ask(frames.Close(id=self._link.next_id(), session=self._link.session))
        await self._link.hang_up()
        after = await trio.to_thread.run_sync(cell.census)
        self.ended = ProcessCount(politely=len(before) - len(after))

    async def count_forced(self) -> None:
        """Count what is left to be killed, at the last moment before it is."""
        with contextlib.suppress(OSError):  # such as no file descriptor left: ending goes before counting
            left = await trio.to_thread.run_sync(self._link.cell.census)
            self.ended = attrs.evolve(self.ended, by_force=len(left))

    async def _load(self, url: str | None) -> None:
        reply = await self._ask(frames.Navigate(id=self._link.next_id(), session=self._link.session, url=url))
        match reply:
            case frames.Unreachable(detail=detail):
                raise UpstreamUnreachable(f"TikTok could not be reached: {self._redact(detail)}")
            case frames.Failed(detail=detail):
                raise BrowserLost("The browser can't load pages", detail=self._redact(detail))
            case _:
                pass

    async def _ask(self, request: frames.Request) -> frames.Reply:
        return await self._link.request(request)

    def _redact(self, detail: str) -> str:
        return self._link.redact(detail)


def _detail(reply: frames.Reply) -> str:
    return reply.detail if isinstance(reply, frames.Unreachable | frames.Failed) else type(reply).__name__
