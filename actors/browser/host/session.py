"""One browser under Scrapling: launched by our engines, its page kept open, asked about its viewer."""

import asyncio
import contextlib
import functools
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Error, Page, Request, Route
from playwright.async_api import TimeoutError as TimedOut
from scrapling.engines._browsers._stealth import AsyncStealthySession

from actors.browser import frames
from actors.browser.engines import EngineName
from actors.browser.host.camoufox_args import camoufox_args
from actors.browser.host.driver import Driver
from actors.browser.host.firefox import firefox_args
from actors.owner import MARKER
from actors.verdict import Finding, Method, analyse_html
from actors.verdict.api import ASK, ENDPOINTS, MAX_ANSWER_CHARS, Answer, judge_answers
from actors.verdict.dom import KNOWN_SELECTORS, judge_elements
from actors.verdict.site import is_same_site

# The names under which Firefox reports that a page could not be fetched; everything else in its error
# texts, the URL for one, is left out.
_NETWORK_ERROR = re.compile(r"NS_ERROR_\w+|NS_BINDING_ABORTED|SSL_ERROR_\w+|SEC_ERROR_\w+|\w+PortAccess")


# How long a page that has its document may take to show who its viewer is.
_RENDER_S = 2.0
# How long a load that is stopped may take to fail.
_STOP_S = 1.0
_NO_PAGE = "http://greenroom.invalid/"
# How long a rehearsal may take, which takes a quarter of a second; what it shows; and ports for it that
# browsers don't refuse.
_REHEARSAL_S = 10.0
_EMPTY_PAGE = "<!doctype html><title></title><p>.</p><script>0</script>"
_PORTS = (8443, 8444)


class PageUnreachable(Exception):
    """The page was not fetched; the text is an error name or an HTTP status."""


class CamoufoxSession(AsyncStealthySession):
    """A Scrapling session on Camoufox or Firefox instead of the Chromium that Scrapling launches.

    `start` is replaced as Scrapling's guide to Camoufox as an engine describes, with a driver that other
    sessions use too; pages, their pool, and closing remain Scrapling's. `load` is its `fetch` without waiting
    for images: the page counts as there with its DOM, and stays open.
    """

    def __init__(self, driver: Driver, launch_args: Mapping[str, Any], on_lost: Callable[[], None]) -> None:
        super().__init__(headless=bool(launch_args["headless"]))
        self._driver = driver
        self._given_up = False
        self._launch_args = launch_args
        self._on_lost = on_lost

    async def start(self) -> None:
        """Launch the browser and tell `on_lost` when it goes. Raises Playwright's `Error`."""
        playwright = await self._driver.get()
        context: Any = await playwright.firefox.launch_persistent_context(**self._launch_args)
        context.on("close", lambda _: self._on_lost())
        self.context = await self._initialize_context(self._config, context)
        for page in self.context.pages[: self.max_pages]:  # the window that the browser opened by itself
            self.page_pool.add_page(page).mark_ready()  # type: ignore[no-untyped-call]  # Scrapling left it unannotated
        self._is_alive = True

    async def probe(self) -> None:
        """Return once the driver and the browser's main process have answered."""
        await self.context.cookies(_NO_PAGE)

    async def load(self, url: str | None) -> int:
        """Load `url`, or the current page again, up to its document and return the HTTP status.

        Waits as long as it takes: whoever asks gives up by cancelling. Raises Playwright's `Error`.
        """
        async with self._page_generator(0, None, False) as info:
            page: Any = info.page  # Playwright's, not the Patchright's that Scrapling expects
            if self._given_up:
                await _stop_loading(page)
            self._given_up = True  # unless something comes of it
            try:
                if url is None:
                    response = await page.reload(wait_until="domcontentloaded")
                else:
                    response = await page.goto(url, wait_until="domcontentloaded")
            except Error:
                self._given_up = False
                raise
            self._given_up = False
            return response.status if response else 200

    async def rehearse(self, url: str) -> None:
        """Load an empty page under `url`, which nobody is asked for; or don't, where that fails.

        To be given up only with the browser: what answers in the network's place would stay.
        """
        async with self._page_generator(0, None, False) as info:
            page: Any = info.page
            try:
                await page.route("**/*", _answer_empty)
                await page.goto(url)
                await page.content()
            except Error as exc:
                print(f"the rehearsal failed: {exc!r}", file=sys.stderr)  # which the daemon logs
            await page.unroute_all()

    async def html(self) -> str:
        """Return the page's HTML as it is now."""
        async with self._page_generator(0, None, False) as info:
            while True:
                try:
                    return str(await info.page.content())
                except Error:  # it is on its way to another page
                    await info.page.wait_for_load_state("domcontentloaded")

    async def url(self) -> str:
        """Return the address that the page has now, redirects followed."""
        async with self._page_generator(0, None, False) as info:
            return str(info.page.url)

    async def wait_rendered(self, selectors: Iterable[str]) -> None:
        """Wait until one of the selectors matches, but not for long: a page may well have none of them."""
        async with self._page_generator(0, None, False) as info:
            first, *others = (info.page.locator(selector) for selector in selectors)
            either = functools.reduce(lambda found, other: found.or_(other), others, first)
            with contextlib.suppress(TimedOut):
                await either.first.wait_for(state="attached", timeout=_RENDER_S * 1000)

    async def count(self, selector: str) -> int:
        """Return how many elements the selector matches."""
        async with self._page_generator(0, None, False) as info:
            return int(await info.page.locator(selector).count())

    async def evaluate(self, function: str, argument: object) -> Any:
        """Return what a JavaScript function of one argument returns, run in the page."""
        async with self._page_generator(0, None, False) as info:
            return await info.page.evaluate(function, argument)


async def _answer_empty(route: Route) -> None:
    await route.fulfill(status=200, content_type="text/html", body=_EMPTY_PAGE)


async def _stop_loading(page: Page) -> None:
    """Stop a load of `page` that was given up, and wait until it has failed.

    It would fail at the next load anyway, and a reload takes the first failure in its page for its own.
    """

    def is_document(request: Request) -> bool:
        return request.is_navigation_request() and request.frame == page.main_frame

    with contextlib.suppress(TimedOut):  # it may have ended by itself
        async with page.expect_event("requestfailed", is_document, timeout=_STOP_S * 1000):
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

    async def start(self) -> None:
        """Launch the browser and from then on watch it.

        Cancelling does not end a launch that the driver has begun: `discard` waits for what comes of it.
        """
        if self.launch.engine == EngineName.CAMOUFOX.value:
            launch_args = await camoufox_args(self.launch)
        else:
            launch_args = firefox_args(self.launch)
        environ = {**os.environ, **launch_args.get("env", {}), **self._environ()}
        self._scrapling = CamoufoxSession(
            self._driver, launch_args | {"env": environ}, on_lost=lambda: self._on_lost("the browser is gone")
        )
        self._launching = asyncio.create_task(self._scrapling.start())
        await asyncio.shield(self._launching)

    def _environ(self) -> dict[str, str]:
        return {MARKER: self.launch.marker, "TMPDIR": self.launch.scratch}

    async def load(self, url: str | None) -> None:
        """Load a page up to its document. Raises `PageUnreachable`."""
        self._asked = url or self._asked
        try:
            status = await self._scrapling.load(url)
        except Error as exc:
            network_error = _NETWORK_ERROR.search(exc.message)
            if network_error is None:
                raise
            raise PageUnreachable(network_error[0]) from exc
        if status >= 500:
            raise PageUnreachable(f"HTTP {status}")

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        """Look at the page with one method."""
        match method:
            case Method.HTML:
                html = await self._scrapling.html()
                is_elsewhere = not is_same_site(self._asked, await self._scrapling.url())
                return await asyncio.to_thread(analyse_html, html, is_elsewhere=is_elsewhere)
            case Method.DOM:
                return await self._inspect_elements(selectors)
            case Method.API:
                answers = await self._scrapling.evaluate(ASK, [list(ENDPOINTS), MAX_ANSWER_CHARS])
                return judge_answers([Answer(*answer) for answer in answers])

    async def _inspect_elements(self, selectors: Mapping[str, str]) -> Finding:
        telling = [selector for name, selector in selectors.items() if name in KNOWN_SELECTORS]
        await self._scrapling.wait_rendered([*KNOWN_SELECTORS.values(), *telling])
        known = {name: await self._scrapling.count(css) for name, css in KNOWN_SELECTORS.items()}
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
        self._scrapling.page_pool.clear()
        await self._scrapling.close()  # type: ignore[no-untyped-call]  # as above

    async def discard(self) -> None:
        """Return once no browser can come of this any more; somebody else kills what runs."""
        if self._launching is not None:
            with contextlib.suppress(Exception):  # it did not come to a browser, or that is dead
                await self._launching
                await self.close()


def beside(url: str) -> str:
    """Return an address that is of the same site as `url` to a browser, and of another origin.

    A service worker of the origin would answer in the place of the network, and ask it.
    """
    parts = urlsplit(url)
    port = next(port for port in _PORTS if port != parts.port)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{port}/"
