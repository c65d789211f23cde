"""One browser under Scrapling: launched by our engines, its page kept open, asked about its viewer."""

import asyncio
import contextlib
import functools
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs
from playwright.async_api import Error, Page, Request, Route
from playwright.async_api import TimeoutError as TimedOut
from scrapling.engines._browsers._stealth import AsyncStealthySession

from actors.browser import frames
from actors.browser.engines import EngineName
from actors.browser.environment import browser_environment
from actors.browser.host.camoufox_args import camoufox_args
from actors.browser.host.document import (
    Answers,
    PageUnreachable,
    Sight,
    check_type,
    elsewhere,
    has_crashed,
    has_gone_on,
    look,
    unreadable,
    whereabouts,
)
from actors.browser.host.driver import Driver
from actors.browser.host.firefox import firefox_args
from actors.browser.host.launcher import open_launcher, path_of
from actors.verdict import Finding, Method, analyse_html, too_long_html
from actors.verdict.api import ASK, ENDPOINTS, MAX_ANSWER_CHARS, Answer, judge_answers
from actors.verdict.dom import KNOWN_SELECTORS, judge_elements

# The names under which Firefox reports that a page could not be fetched; everything else in its error
# texts, the URL for one, is left out.
_NETWORK_ERROR = re.compile(r"NS_ERROR_\w+|NS_BINDING_ABORTED|SSL_ERROR_\w+|SEC_ERROR_\w+|\w+PortAccess")
# How long a page that has its document may take to show who its viewer is.
_RENDER_S = 2.0
# How long a load that is stopped may take to fail.
_STOP_S = 1.0
# How long after the end of its page a browser that is going may take to be seen gone.
_END_S = 1.0
_ABORTED = "NS_BINDING_ABORTED"
_NO_PAGE = "http://greenroom.invalid/"
# How long a rehearsal may take, which takes a quarter of a second; what it shows; and ports for it that
# browsers don't refuse.
_REHEARSAL_S = 10.0
_EMPTY_PAGE = '<!doctype html><link rel="icon" href="data:,"><title></title><p>.</p><script>0</script>'
_PORTS = (8443, 8444)
_DOWNLOAD = "Download is starting"
_WITHOUT_PAGE = {204, 205}
# How long to wait before a page that could not be looked at is again.
_AGAIN_S = 0.05
# How long a document that was read to its end may wait for scripts, which may never come, and how often to
# look then whether it was.
_DOM_S = 3.0
_POLL_S = 0.2


class CamoufoxSession(AsyncStealthySession):
    """A Scrapling session on Camoufox or Firefox instead of the Chromium that Scrapling launches.

    `start` is replaced as Scrapling's guide to Camoufox as an engine describes, with a driver that other
    sessions use too; how the context is set up and closed remains Scrapling's. Its pool of pages is not used:
    a page whose use was given up at the wrong moment stays busy there. There is one page, the window that the
    browser opened by itself. `load` is Scrapling's `fetch` without waiting for images: the page counts as
    there with its DOM, and stays open.
    """

    page: Page
    answers: Answers

    def __init__(self, driver: Driver, launch_args: Mapping[str, Any], on_lost: Callable[[], None]) -> None:
        super().__init__(headless=bool(launch_args["headless"]))
        self._driver = driver
        self._given_up = False
        self._launch_args = launch_args
        self._on_lost = on_lost
        self.ended = asyncio.Event()

    async def start(self) -> None:
        """Launch the browser and tell `on_lost` when it goes. Raises Playwright's `Error`."""
        playwright = await self._driver.get()
        context: Any = await playwright.firefox.launch_persistent_context(**self._launch_args)
        context.on("close", lambda _: self._note_end())
        self.context = await self._initialize_context(self._config, context)
        self.page = self.context.pages[0]
        self.answers = Answers(self.page)
        self.answers.attach()
        self.page.set_default_timeout(0)  # whoever asks gives up by cancelling
        self.page.set_default_navigation_timeout(0)
        self._is_alive = True

    def _note_end(self) -> None:
        self.ended.set()
        self._on_lost()

    async def probe(self) -> None:
        """Return once the driver and the browser's main process have answered."""
        await self.context.cookies(_NO_PAGE)

    async def load(self, url: str | None) -> None:
        """Load `url`, or the current page again, up to its document.

        Waits as long as it takes: whoever asks gives up by cancelling. Raises `PageUnreachable` where
        something else than a page came, or Playwright's `Error`.
        """
        if self._given_up:
            await _stop_loading(self.page)
        self._given_up = True  # unless something comes of it
        self.answers.status = 0
        try:
            # An image's document never says that its DOM is there: so what it is is looked at first.
            if url is None:
                response = await self.page.reload(wait_until="commit")
            else:
                response = await self.page.goto(url, wait_until="commit")
            check_type(response)
            await self._wait_for_dom()
        except Error:
            self._given_up = False
            raise
        self._given_up = False

    async def rehearse(self, url: str) -> None:
        """Load an empty page under `url`, which nobody is asked for; or don't, where that fails.

        To be given up only with the browser: what answers in the network's place would stay.
        """
        try:
            await self.page.route("**/*", _answer_empty)
            await self.page.goto(url)
            await self.page.evaluate("document.documentElement.outerHTML")
        except Error as exc:
            print(f"the rehearsal failed: {exc!r}", file=sys.stderr)  # which the daemon logs
        await self.page.unroute_all()

    async def look(self, asked: str) -> Sight:
        """Return what the page shows now, whose site `asked` is of. Raises `PageUnreachable`."""
        while True:
            try:
                return await look(self.page, asked, self.answers)
            except Error as exc:
                await self._wait_for_next(exc)

    async def of_one_document(
        self, asked: str, method: Method, ask: Callable[[], Awaitable[Finding]]
    ) -> Finding:
        """Return what is found on the page if it is of the site of `asked`, all of it on one document."""
        while True:
            try:
                place = await whereabouts(self.page, asked)
                finding = await ask() if place.is_proven else elsewhere(place, method)
                if place.document == (await whereabouts(self.page, asked)).document:
                    return attrs.evolve(finding, document=place.document)
            except Error as exc:
                if not has_gone_on(exc):
                    raise
                await self._wait_for_next(exc)

    async def document(self, asked: str) -> str:
        """Return which document the page shows, "" where it does not tell."""
        with contextlib.suppress(Error):
            return (await whereabouts(self.page, asked)).document
        return ""

    async def _wait_for_next(self, error: Error) -> None:
        """Wait for the document to which the page has gone on. Raises `error` where it is closed."""
        if self.page.is_closed():
            raise error
        await asyncio.sleep(_AGAIN_S)
        await self._wait_for_dom()

    async def _wait_for_dom(self) -> None:
        """Wait until the document was read to its end, and a little for scripts that are to come after it."""
        with contextlib.suppress(TimedOut):
            await self.page.wait_for_load_state("domcontentloaded", timeout=_DOM_S * 1000)
            return
        await self.page.wait_for_function("document.readyState !== 'loading'", polling=_POLL_S * 1000)

    async def wait_rendered(self, selectors: Iterable[str]) -> None:
        """Wait until one of the selectors matches, but not for long: a page may well have none of them."""
        first, *others = (self.page.locator(selector) for selector in selectors)
        either = functools.reduce(lambda found, other: found.or_(other), others, first)
        with contextlib.suppress(TimedOut):
            await either.first.wait_for(state="attached", timeout=_RENDER_S * 1000)

    async def count(self, selector: str, *, visible: bool = False) -> int:
        """Return how many elements the selector matches, or how many that are visible."""
        found = self.page.locator(selector)
        return await (found.filter(visible=True) if visible else found).count()


async def _answer_empty(route: Route) -> None:
    await route.fulfill(status=200, content_type="text/html", body=_EMPTY_PAGE)


async def _stop_loading(page: Page) -> None:
    """Stop a load of `page` that was given up, and wait until it has failed.

    It would fail at the next load anyway, and a reload takes the first failure in its page for its own. What
    fails here, as when it has just ended by itself, or takes too long is left to the next load.
    """

    def is_document(request: Request) -> bool:
        return request.is_navigation_request() and request.frame == page.main_frame

    with contextlib.suppress(Error, TimeoutError):
        async with (
            asyncio.timeout(_STOP_S),
            page.expect_event("requestfailed", is_document, timeout=_STOP_S * 1000),
        ):
            await page.evaluate("window.stop()")


class BrowserSession:
    """What the host does for one session."""

    def __init__(self, launch: frames.Launch, *, driver: Driver, on_lost: Callable[[str], None]) -> None:
        self.launch = launch
        self._driver = driver
        self._on_lost = on_lost
        self._scrapling: CamoufoxSession
        self._launching: asyncio.Task[None] | None = None
        self._asked = ""
        self.is_leaving = False

    async def start(self) -> None:
        """Launch the browser and from then on watch it.

        Cancelling does not end a launch that the driver has begun: `discard` waits for what comes of it.
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
                self._driver, launch_args, on_lost=lambda: self._on_lost("the browser is gone")
            )
            await self._scrapling.start()

    def _own_places(self, launch_args: Mapping[str, Any]) -> dict[str, Any]:
        """Return what keeps the browser's processes and files apart from those of others.

        Nothing but the daemon's word ends a browser, not a signal that the driver gets.
        """
        environ = browser_environment(
            os.environ,
            marker=self.launch.marker,
            scratch=self.launch.scratch,
            headless=self.launch.headless,
        )
        places: dict[str, Any] = {"env": launch_args.get("env", {}) | environ}
        places |= dict.fromkeys(("handle_sighup", "handle_sigint", "handle_sigterm"), False)
        if not self.launch.run_as:  # in a cell of its own, it has a /tmp of its own for downloads
            places["downloads_path"] = f"{self.launch.scratch}/downloads"
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
            network_error = _NETWORK_ERROR.search(exc.message)
            if network_error is not None and not await self._is_ending(network_error[0]):
                raise PageUnreachable(network_error[0]) from exc
            await self._check_closed(exc)
            raise
        if self._scrapling.answers.status >= 500:
            raise PageUnreachable(f"HTTP {self._scrapling.answers.status}")

    async def _check_closed(self, error: Error) -> None:
        """Raise `PageUnreachable` where a page has closed itself, and the browser goes on."""
        if self._scrapling.page.is_closed():
            with contextlib.suppress(Error):
                await self._scrapling.probe()
                if not self._scrapling.ended.is_set():
                    raise PageUnreachable("the page closed itself") from error

    async def _is_ending(self, network_error: str) -> bool:
        """Tell whether a load failed because the browser is going: it says so a little later."""
        if network_error == _ABORTED:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._scrapling.ended.wait(), _END_S)
        return self._scrapling.ended.is_set()

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        """Look at the page with one method. Raises `PageUnreachable` where there is no page any more."""
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

    async def rehearse(self, url: str) -> None:
        """Have the browser do what it does for its first page of a site, without asking the site.

        Where it can't, the first page takes longer. Raises `TimeoutError` at a browser that is of no use.
        """
        async with asyncio.timeout(_REHEARSAL_S):
            await self._scrapling.rehearse(beside(url))

    async def probe(self) -> None:
        """Return once the browser, if it runs, has answered."""
        if self._launching is not None and self._launching.done():
            await self._scrapling.probe()

    async def close(self) -> None:
        """End the browser politely, as a whole: with its last page Firefox quits without an answer."""
        self.is_leaving = True
        await self._scrapling.close()  # type: ignore[no-untyped-call]  # Scrapling left it unannotated

    async def discard(self) -> None:
        """Return once no browser can come of this any more; somebody else kills what runs."""
        self.is_leaving = True
        if self._launching is not None:
            with contextlib.suppress(Exception):  # it did not come to a browser, or that is dead
                await self._launching
                await self.close()
                await self._scrapling.ended.wait()


def beside(url: str) -> str:
    """Return an address that is of the same site as `url` to a browser, and of another origin.

    A service worker of the origin would answer in the place of the network, and ask it.
    """
    parts = urlsplit(url)
    port = next(port for port in _PORTS if port != parts.port)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{port}/"
