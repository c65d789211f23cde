"""One session in a host: its browser, and the requests about its page."""

import asyncio
import contextlib
import functools
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
from playwright.async_api import BrowserContext, Error, Page

from greenroom.actors.actions.actions import Action
from greenroom.actors.actions.inputs import Input
from greenroom.actors.actions.readings import Reading, TraceStart
from greenroom.actors.browser.cells.environment import ARTIFACTS, DOWNLOADS, browser_environment
from greenroom.actors.browser.engines import EngineName
from greenroom.actors.browser.host.binding import Binding
from greenroom.actors.browser.host.camoufox_args import camoufox_args
from greenroom.actors.browser.host.document import PageUnreachable, has_crashed, unreadable
from greenroom.actors.browser.host.driver import Driver
from greenroom.actors.browser.host.failures import NETWORK_ERROR, OperationFailed, failure_of
from greenroom.actors.browser.host.firefox import firefox_args
from greenroom.actors.browser.host.hand import Hand
from greenroom.actors.browser.host.launcher import open_launcher, path_of
from greenroom.actors.browser.host.page import CamoufoxSession
from greenroom.actors.browser.host.performing import Performer
from greenroom.actors.browser.host.recording import RecordingHost
from greenroom.actors.browser.host.restoring import restore
from greenroom.actors.browser.host.viewing import View
from greenroom.actors.browser.wire.messages import Failure, Launch
from greenroom.actors.machine.frame import Frame
from greenroom.actors.machine.storage_state import StorageState
from greenroom.actors.verdict import Finding, Method, analyse_html, too_long_html
from greenroom.actors.verdict.api import ASK, ENDPOINTS, MAX_ANSWER_CHARS, Answer, judge_answers
from greenroom.actors.verdict.dom import KNOWN_SELECTORS, judge_elements
from greenroom.actors.verdict.site import is_same_site

# How long after the end of its page a browser that is going may take to be seen gone.
_END_S = 1.0
_ABORTED = "NS_BINDING_ABORTED"
# The time limit of a rehearsal, which normally takes a quarter of a second, and ports that browsers allow for
# it.
_REHEARSAL_S = 10.0
_PORTS = (8443, 8444)
_DOWNLOAD = "Download is starting"
_WITHOUT_PAGE = {204, 205}


class BrowserSession:
    """What the host does for one session.

    A task that sends a result of the page holds `sending`, so the host keeps only one result per session in
    memory, however slowly it is read.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        driver: Driver,
        on_lost: Callable[[str], None],
        on_navigated: Callable[[], None],
    ) -> None:
        self.launch = launch
        self.sending = asyncio.Lock()
        self._driver = driver
        self._on_lost = on_lost
        self._on_navigated = on_navigated
        self._scrapling: CamoufoxSession
        self._performer: Performer
        self._hand: Hand
        self._recording: RecordingHost
        self._context: BrowserContext
        self._view: View | None = None
        self._viewing = asyncio.Lock()
        self._binding: Binding
        self._launching: asyncio.Task[None] | None = None
        self._asked = ""
        self.is_leaving = False

    async def start(self) -> None:
        """Launch the browser, then watch it.

        Cancelling does not stop a launch that the driver has begun; `discard` waits for its outcome.
        """
        if self.launch.engine == EngineName.CAMOUFOX.value:
            launch_args = await camoufox_args(self.launch)
        else:
            launch_args = firefox_args(self.launch)
        self._launching = asyncio.create_task(self._start(launch_args | self._own_places(launch_args)))
        await asyncio.shield(self._launching)

    async def _start(self, launch_args: dict[str, Any]) -> None:
        with contextlib.ExitStack() as launcher:
            if self.launch.run_as:
                descriptor = open_launcher(self.launch.run_as, self.launch.executable)
                launcher.callback(os.close, descriptor)
                launch_args["executable_path"] = path_of(descriptor)
            self._scrapling = CamoufoxSession(
                self._driver,
                launch_args,
                on_lost=lambda: self._on_lost("the browser is gone"),
                on_launched=self._attach_performer,
            )
            await self._scrapling.start()

    def _attach_performer(self, context: BrowserContext) -> None:
        self._performer = Performer.attach(context, Path(self.launch.scratch), self._note_navigation)
        self._hand = Hand(self._performer.pages)
        self._recording = RecordingHost(context, self._performer.pages)
        self._binding = Binding(context)
        self._context = context

    def _note_navigation(self, page: Page) -> None:
        """Let the daemon know of a client's navigation; the login is looked at where it happened."""
        if self._performer.pages.is_used and not page.is_closed() and is_same_site(self._asked, page.url):
            self._scrapling.use(page)
            self._on_navigated()

    def _own_places(self, launch_args: Mapping[str, Any]) -> dict[str, Any]:
        """Return the launch arguments that separate the browser's processes and files from others.

        The driver must not end the browser when it gets a signal: only the daemon ends browsers.
        """
        environ = browser_environment(
            os.environ,
            marker=self.launch.marker,
            scratch=self.launch.scratch,
            headless=self.launch.headless,
        )
        places: dict[str, Any] = {"env": launch_args.get("env", {}) | environ}
        places |= dict.fromkeys(("handle_sighup", "handle_sigint", "handle_sigterm"), False)
        # Both of which the browser's cell shows.
        places["downloads_path"] = f"{self.launch.scratch}/{DOWNLOADS}"
        places["artifacts_dir"] = f"{self.launch.scratch}/{ARTIFACTS}"
        return places

    async def load(self, url: str | None) -> None:
        """Load a page up to its document. Raises `PageUnreachable`."""
        self._asked = url or self._asked
        try:
            await self._scrapling.load(url)
        except Error as exc:
            if _DOWNLOAD in exc.message:
                raise PageUnreachable("a download came instead of a page") from exc
            status = self._scrapling.answers.status
            if status in _WITHOUT_PAGE:
                raise PageUnreachable(f"HTTP {status}, without a page") from exc
            network_error = NETWORK_ERROR.search(exc.message)
            if network_error is not None and not await self._is_ending(network_error[0]):
                raise PageUnreachable(network_error[0]) from exc
            await self._check_closed(exc)
            raise
        if self._scrapling.answers.status >= 500:
            raise PageUnreachable(f"HTTP {self._scrapling.answers.status}")

    async def _check_closed(self, error: Error) -> None:
        """Raise `PageUnreachable` if the page has closed itself and the browser goes on."""
        if self._scrapling.page.is_closed():
            with contextlib.suppress(Error):
                await self._scrapling.probe()
                if not self._scrapling.ended.is_set():
                    raise PageUnreachable("the page closed itself") from error

    async def _is_ending(self, network_error: str) -> bool:
        """Return whether a load failed because the browser is quitting, which it reports a little later."""
        if network_error == _ABORTED:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._scrapling.ended.wait(), _END_S)
        return self._scrapling.ended.is_set()

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        """Inspect the page with one method. Raises `PageUnreachable` if there is no page any more."""
        ask: Callable[[], Awaitable[Finding]]
        try:
            match method:
                case Method.HTML:
                    return await self._inspect_html()
                case Method.DOM:
                    ask = functools.partial(self._inspect_elements, selectors)
                case Method.API:
                    ask = self._ask_endpoints
            return await self._scrapling.of_one_document(self._asked, method, ask)
        except Error as exc:
            await self._check_closed(exc)
            if self._scrapling.page.is_closed() or has_crashed(exc):
                raise
            await self._scrapling.probe()
            print(f"a page can't be looked at: {exc.message}", file=sys.stderr)
            return attrs.evolve(unreadable(method), document=await self._scrapling.document(self._asked))

    async def _inspect_html(self) -> Finding:
        sight = await self._scrapling.look(self._asked)
        if sight.html is None:
            return too_long_html(sight.arrival)
        return await asyncio.to_thread(analyse_html, sight.html, sight.arrival)

    async def _ask_endpoints(self) -> Finding:
        answers = await self._scrapling.page.evaluate(ASK, [list(ENDPOINTS), MAX_ANSWER_CHARS])
        return judge_answers([Answer(*answer) for answer in answers])

    async def _inspect_elements(self, selectors: Mapping[str, str]) -> Finding:
        telling = [selector for name, selector in selectors.items() if name in KNOWN_SELECTORS]
        await self._scrapling.wait_rendered([*KNOWN_SELECTORS.values(), *telling])
        known = {
            name: await self._scrapling.count(css, visible=name == "challenge")
            for name, css in KNOWN_SELECTORS.items()
        }
        own = {name: await self._scrapling.count(css) for name, css in selectors.items()}
        return judge_elements(known, own)

    async def perform(self, operation: Action | Reading, timeout_s: float) -> bytes | Path:
        """Carry out what a client asks for; see `Performer.perform`.

        Raises `OperationFailed`, or Playwright's `Error` if the browser is gone.
        """
        if isinstance(operation, TraceStart) and self.launch.proxy is not None and self.launch.proxy.password:
            raise OperationFailed(Failure.ACTION, "A trace would show the proxy's password")
        try:
            return await self._performer.perform(operation, timeout_s)
        except Error as exc:
            await self._scrapling.probe()
            if self._scrapling.ended.is_set():
                raise
            raise failure_of(exc, timeout_s) from exc

    async def view(self, fps: float, quality: int, send: Callable[[Frame], Awaitable[None]]) -> None:
        """Pass pictures of the selected page to `send` until cancelled; see `View`. One at a time."""
        async with self._viewing:
            self._view = View(self._performer.pages, quality, fps)
            try:
                await self._view.run(send)
            finally:
                self._view = None

    async def record(self, *, picture: bool, page: bool) -> bytes:
        """Return what the recorder wants to know, in JSON; see `RecordingHost.look`."""
        return await self._recording.look(picture=picture, page=page)

    async def do_by_hand(self, given: Input, timeout_s: float) -> None:
        """Do something as a person does it. Raises `OperationFailed`, or `Error` if the browser is gone."""
        self._performer.pages.is_used = self._performer.pages.keeps_dialogs = True
        if self._view is not None:
            self._view.wake()
        try:
            await self._hand.do(given, timeout_s)
        except Error as exc:
            await self._scrapling.probe()
            if self._scrapling.ended.is_set():
                raise
            raise failure_of(exc, timeout_s) from exc

    async def bind(self, *, dialogs: bool) -> tuple[str, str]:
        """Let Playwright clients connect; return where, and the browser's guid. See `messages.Bind`."""
        self._performer.pages.is_used = True
        self._performer.pages.keeps_dialogs |= dialogs
        return await self._binding.bind()

    async def restore(self, state: StorageState) -> None:
        """Take in cookies and what sites keep, in place of theirs. Raises `OperationFailed`."""
        try:
            await restore(self._context, state)
        except Error as exc:
            await self._scrapling.probe()
            raise OperationFailed(Failure.ACTION, f"The browser does not take it: {exc.message}") from exc

    async def rehearse(self, url: str) -> None:
        """Have the browser do the work that a site's first page takes, without contacting the site.

        If that fails, the first page just takes longer. Raises `TimeoutError` if the browser is of no more
        use.
        """
        async with asyncio.timeout(_REHEARSAL_S):
            await self._scrapling.rehearse(beside(url))

    async def probe(self) -> None:
        """Return once the browser, if it runs, has answered."""
        if self._launching is not None and self._launching.done():
            await self._scrapling.probe()

    async def close(self) -> None:
        """Close the whole browser politely. If only its last page closes, Firefox quits without an answer."""
        self.is_leaving = True
        await self._scrapling.close()  # type: ignore[no-untyped-call]  # Scrapling left it unannotated

    async def discard(self) -> None:
        """Return once no browser can start here any more. The daemon kills what runs."""
        self.is_leaving = True
        if self._launching is not None:
            with contextlib.suppress(Exception):  # it never became a browser, or that is dead
                await self._launching
                await self.close()
                await self._scrapling.ended.wait()


def beside(url: str) -> str:
    """Return an address that a browser takes for the same site as `url` but for another origin.

    On the same origin, a service worker would answer in place of our route, and contact the network.
    """
    parts = urlsplit(url)
    port = next(port for port in _PORTS if port != parts.port)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{port}/"
