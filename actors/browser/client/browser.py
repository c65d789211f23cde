"""One session's browser, in a host that it may share with others."""

import contextlib
import os
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import attrs
import msgspec
import trio

from greenroom.actors.actions.actions import Operation
from greenroom.actors.actions.decoding import InvalidOperation, encode_input, encode_operation
from greenroom.actors.actions.inputs import Input
from greenroom.actors.browser.cells.binds import Private
from greenroom.actors.browser.cells.browser import browser_cell
from greenroom.actors.browser.cells.ending import end_processes
from greenroom.actors.browser.cells.environment import FILES
from greenroom.actors.browser.cells.sandbox import Sandbox, cell_rights
from greenroom.actors.browser.client.connection import SocketConnection, open_connection
from greenroom.actors.browser.client.files import store_file
from greenroom.actors.browser.client.frames import FrameReader
from greenroom.actors.browser.client.link import WINDOW, HostLink
from greenroom.actors.browser.client.loss import Loss
from greenroom.actors.browser.client.replies import TIMED_OUT, TOO_LARGE, failure_of
from greenroom.actors.browser.engines import Engine
from greenroom.actors.browser.wire import messages
from greenroom.actors.browser.wire.framing import FrameError
from greenroom.actors.errors import (
    ActionFailed,
    ActionTimedOut,
    BrowserLost,
    EngineUnavailable,
    InvalidAction,
    PageGone,
    PageTooLarge,
    StorageFailed,
    UpstreamUnreachable,
)
from greenroom.actors.lifecycle import ProcessCount
from greenroom.actors.machine.result import Result
from greenroom.actors.machine.sampler import Sampler
from greenroom.actors.machine.storage_state import StorageState
from greenroom.actors.recorder.recorded import Recorded
from greenroom.actors.threads import Work, in_thread, limiter
from greenroom.actors.verdict import Finding, Method

# How long a host may take to release a session whose browser is being killed.
_RELEASE_S = 5.0
_KILL_AGAIN_S = 0.05
# For all results of a session that somebody still reads. A host has limits of its own for most; downloads and
# traces can be large.
MAX_RESULT_BYTES: Final = 1 << 30
_MAX_RECORDED_BYTES: Final = 32 << 20
# How long what a person does by hand may take: moving the mouse, pressing a key.
_BY_HAND_S = 5.0
# The host's own limit is the shorter one: it says what was waited for.
_PATIENCE_S = 3.0


@attrs.define(eq=False, kw_only=True, repr=False)
class ScraplingFetcherAdapter:
    """The face of a Scrapling session to the actor. Satisfies `ports.Browser` once it is launched.

    All processes of the browser carry `marker`, and keep their temporary files in `scratch`. The sockets of
    its driver are in `driver_folder`.
    """

    _session: str
    marker: str
    _scratch: Path
    _driver_folder: Path
    _link: HostLink
    _engine: Engine
    _proxy: messages.Proxy | None
    _sandbox: Sandbox
    _private: Private
    _sampler: Sampler
    ended: ProcessCount = attrs.field(factory=ProcessCount, init=False)
    _has_begun: bool = attrs.field(default=False, init=False)
    _loss: Loss = attrs.field(init=False)
    _results: "weakref.WeakSet[Result]" = attrs.field(factory=weakref.WeakSet, init=False)
    _navigation: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._loss = self._link.enter(self._session, self._note_navigation)

    @property
    def is_host_lost(self) -> bool:
        """Whether the whole host is lost, not only this browser."""
        return self._link.loss.has_happened

    async def launch(self, profile: Path, *, headless: bool, proxy: messages.Proxy | None = None) -> None:
        """Run the browser on `profile`, a directory that nothing else uses. Call it once, first.

        With a `proxy`, it uses that in place of the usual one. Raises `EngineUnavailable` when the browser
        does not start.
        """
        # The paths may lead through links, which a cell does not show.
        profile = Path(await in_thread(Work.LEDGER, os.path.realpath, profile))
        executable = self._engine.executable.resolve()
        self._proxy = proxy or self._proxy
        run_as = await self._make_browser_cell(executable, profile, headless)
        await self._link.wait_ready()
        self._has_begun = True
        request = messages.Launch(
            id=self._link.next_id(),
            session=self._session,
            engine=self._engine.name.value,
            executable=str(executable),
            run_as=run_as,
            profile=str(profile),
            headless=headless,
            proxy=self._proxy,
            marker=self.marker,
            scratch=str(self._scratch),
        )
        reply = await self._ask(request)
        if isinstance(reply, messages.Failed):
            raise EngineUnavailable("The browser does not start", detail=self._redact(reply.detail))

    async def _make_browser_cell(self, executable: Path, profile: Path, headless: bool) -> tuple[str, ...]:
        if self._sandbox is Sandbox.NONE:
            return ()

        def make() -> list[str]:
            return browser_cell(
                executable=executable,
                profile=profile,
                scratch=self._scratch,
                headless=headless,
                rights=cell_rights(),
                private=self._private,
            )

        try:
            return tuple(await trio.to_thread.run_sync(make, limiter=limiter(Work.LEDGER)))
        except OSError as exc:
            raise EngineUnavailable("The browser does not start", detail=str(exc)) from exc

    async def rehearse(self, url: str) -> None:
        """Get ready for `url` without asking for it; see `ports.Browser`."""
        await self._load(messages.Rehearse(id=self._link.next_id(), session=self._session, url=url))

    async def restore(self, state: StorageState) -> None:
        """Take in a login; see `ports.Browser`."""
        request = messages.Restore(id=self._link.next_id(), session=self._session, state=state)
        try:
            reply = await self._ask(request)
        except FrameError as exc:
            raise InvalidAction(str(exc)) from exc
        if isinstance(reply, messages.Failed):
            raise failure_of(reply, self._redact)

    async def navigate(self, url: str) -> None:
        """Load `url`; see `ports.Browser`."""
        await self._load(messages.Navigate(id=self._link.next_id(), session=self._session, url=url))

    async def refresh(self) -> None:
        """Load the page again; see `ports.Browser`."""
        await self._load(messages.Navigate(id=self._link.next_id(), session=self._session))

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        """Inspect the page; see `ports.Browser`."""
        reply = await self._ask(
            messages.Inspect(
                id=self._link.next_id(), session=self._session, method=method, selectors=selectors
            )
        )
        match reply:
            case messages.Found(finding=finding):
                return finding
            case messages.Unreachable(detail=detail):
                raise PageGone(f"TikTok's page is gone: {self._redact(detail)}")
            case _:
                raise BrowserLost("The browser does not show its page", detail=self._redact(_detail(reply)))

    async def perform(self, operation: Operation, *, timeout_s: float) -> Result:
        """Carry out an operation; see `ports.Browser`."""
        result = Result(self._scratch)
        self._results.add(result)
        try:
            request = messages.Perform(
                id=self._link.next_id(),
                session=self._session,
                credit=WINDOW,
                operation=encode_operation(operation),
                timeout_s=timeout_s,
            )
            with trio.fail_after(timeout_s + _PATIENCE_S):
                reply = await self._collect(request, result)
        except (InvalidOperation, FrameError) as exc:
            raise InvalidAction(str(exc)) from exc
        except OSError as exc:
            raise StorageFailed("The result can't be written", detail=str(exc)) from exc
        except trio.TooSlowError:
            raise ActionTimedOut(TIMED_OUT, told=f"Timed out after {timeout_s:g} s") from None
        match reply:
            case messages.Done():
                return result
            case messages.Failed():
                raise failure_of(reply, self._redact)
            case _:
                raise BrowserLost("The browser answers what it was not asked", detail=type(reply).__name__)

    async def _collect(self, request: messages.Perform, result: Result) -> messages.Reply:
        async with self._link.open_stream(request, self._loss) as stream:
            async for piece in stream:
                await result.add(piece)
                if sum(kept.size for kept in self._results) > MAX_RESULT_BYTES:
                    raise PageTooLarge(TOO_LARGE)
        assert stream.reply is not None  # noqa: S101  # it is what ends a stream
        return stream.reply

    @contextlib.asynccontextmanager
    async def view(self, *, fps: float, quality: int) -> AsyncIterator[FrameReader]:
        """Watch the selected page; see `ports.Browser`."""
        request = messages.View(
            id=self._link.next_id(), session=self._session, credit=1, fps=fps, quality=quality
        )
        async with self._link.open_stream(request, self._loss) as stream:
            yield FrameReader(stream)

    async def record(self, *, picture: bool, page: bool) -> Recorded:
        """Look at the session for its recorder; see `ports.Browser`."""
        request = messages.Record(
            id=self._link.next_id(), session=self._session, credit=WINDOW, picture=picture, page=page
        )
        received = bytearray()
        async with self._link.open_stream(request, self._loss) as stream:
            async for piece in stream:
                received += piece
                if len(received) > _MAX_RECORDED_BYTES:
                    raise PageTooLarge(TOO_LARGE)
        if isinstance(stream.reply, messages.Failed):
            raise ActionFailed("The session can't be recorded", detail=self._redact(stream.reply.detail))
        try:
            return msgspec.json.decode(received, type=Recorded)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise ActionFailed("The session can't be recorded", detail=repr(exc)) from exc

    async def do_by_hand(self, given: Input) -> None:
        """Do something by hand; see `ports.Browser`."""
        try:
            request = messages.Input(
                id=self._link.next_id(),
                session=self._session,
                input=encode_input(given),
                timeout_s=_BY_HAND_S,
            )
        except InvalidOperation as exc:
            raise InvalidAction(str(exc)) from exc
        reply = await self._ask(request)
        if isinstance(reply, messages.Failed):
            raise failure_of(reply, self._redact)

    async def put_file(self, name: str, content: AsyncIterable[bytes]) -> None:
        """Keep a file for the page; see `ports.Browser`."""
        await store_file(self._scratch / FILES, name, content)

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[SocketConnection]:
        """Open a connection to the driver; see `ports.Browser`."""
        bound = await self._bind(dialogs=False)

        async def keep_dialogs() -> None:
            await self._bind(dialogs=True)

        async with open_connection(
            self._driver_folder, bound.socket, bound.browser, keep_dialogs=keep_dialogs, proxy=self._proxy
        ) as connection:
            yield connection

    async def _bind(self, *, dialogs: bool) -> messages.Bound:
        reply = await self._ask(
            messages.Bind(id=self._link.next_id(), session=self._session, dialogs=dialogs)
        )
        if not isinstance(reply, messages.Bound):
            raise ActionFailed("The browser can't be attached to", detail=self._redact(_detail(reply)))
        return reply

    async def probe(self) -> None:
        """Wait until the browser answers; see `ports.Browser`."""
        reply = await self._ask(messages.Ping(id=self._link.next_id(), session=self._session))
        if isinstance(reply, messages.Failed):
            raise BrowserLost("The browser is unwell", detail=self._redact(reply.detail))

    def _note_navigation(self) -> None:
        self._navigation.set()

    async def wait_navigated(self) -> None:
        """Wait for another document; see `ports.Browser`."""
        await self._navigation.wait()
        self._navigation = trio.Event()

    async def wait_lost(self) -> None:
        """Wait until the browser is lost; see `ports.Browser`."""
        await self._loss.wait()
        raise self._loss.error()

    async def close(self) -> None:
        """End the browser politely; see `ports.Browser`."""
        before = await self._sampler.pids(self.marker)
        await self._ask(messages.Close(id=self._link.next_id(), session=self._session))
        after = await self._sampler.pids(self.marker)
        self.ended = ProcessCount(politely=len(before) - len(after))

    async def end(self) -> None:
        """Kill what is left of the browser; return once nothing of it is left or can still be started.

        If the host doesn't release the session, it is ended too. Call this last, and shielded. Raises
        `BrowserLost` if processes can't be ended within 5 s.
        """
        try:
            if self._has_begun:
                await self._end_browser()
        finally:
            self._link.leave(self._session)

    async def _end_browser(self) -> None:
        try:
            await self._count_forced()
            await self._release()
            if self._link.loss.has_happened:
                await self._link.transport.end()
        finally:
            await end_processes(self.marker, self._sampler)

    async def _count_forced(self) -> None:
        """Count the processes that have to be killed, just before they are."""
        with contextlib.suppress(OSError):  # such as no free descriptor; ending matters more
            left = await self._sampler.pids(self.marker)
            self.ended = attrs.evolve(self.ended, by_force=len(left))

    async def _release(self) -> None:
        """Ask the host to release the session, and keep killing until it has.

        That also ends a launch in progress.
        """
        discard = messages.Discard(id=self._link.next_id(), session=self._session)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_killing)
            with trio.move_on_after(_RELEASE_S) as releasing, contextlib.suppress(BrowserLost):
                await self._link.request(discard)
            nursery.cancel_scope.cancel(reason="the host has released the session")
        if releasing.cancelled_caught:
            self._link.lose(f"the host did not release a session for {_RELEASE_S:g} seconds")

    async def _keep_killing(self) -> None:
        while True:
            await self._sampler.kill(self.marker)
            await trio.sleep(_KILL_AGAIN_S)

    async def _load(self, request: messages.Navigate | messages.Rehearse) -> None:
        match await self._ask(request):
            case messages.Unreachable(detail=detail):
                raise UpstreamUnreachable(f"TikTok could not be reached: {self._redact(detail)}")
            case messages.Failed(detail=detail):
                raise BrowserLost("The browser can't load pages", detail=self._redact(detail))
            case _:
                pass

    async def _ask(self, request: messages.Request) -> messages.Reply:
        return await self._link.request(request, self._loss)

    def _redact(self, detail: str) -> str:
        return self._link.redact(detail)


def _detail(reply: messages.Reply) -> str:
    return reply.detail if isinstance(reply, messages.Failed) else type(reply).__name__
