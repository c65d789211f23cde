"""One browser under Scrapling: launched by our engines, its page kept open, asked about its viewer."""

import asyncio
import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from playwright.async_api import Error, Page, Request
from playwright.async_api import TimeoutError as TimedOut
from scrapling.engines._browsers._stealth import AsyncStealthySession

from actors.browser import frames
from actors.browser.engines import EngineName
from actors.browser.host.camoufox_args import camoufox_args
from actors.browser.host.driver import Driver
from actors.browser.host.firefox import firefox_args
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


class PageUnreachable(Exception):
    """The page was not fetched; the text is an error name or an HTTP status."""


class CamoufoxSession(AsyncStealthySession):
    """A Scrapling session on Camoufox or Firefox instead of the Chromium that Scrapling launches.

    `start` is replaced as Scrapling's guide to Camoufox as an engine describes; pages, their pool, and
    closing remain Scrapling's. `load` is its `fetch` without waiting for images: the page counts as there
    with its DOM, and stays open.
    """

    def __init__(self, driver: Driver, launch_args: Mapping[str, Any], on_lost: Callable[[], None]) -> None:
        super().__init__(headless=bool(launch_args["headless"]))
        self._driver = driver
        self._given_up = False
        self._launch_args = launch_args
        self._on_lost = on_lost

    async def start(self) -> None:
        """Launch the browser and tell `on_lost` when it goes. Raises Playwright's `Error`."""
        self.playwright = await self._driver.get()
        try:
            self._driver.watch(self._on_lost)
            context: Any = await self.playwright.firefox.launch_persistent_context(**self._launch_args)
            context.on("close", lambda _: self._on_lost())
            self.context = await self._initialize_context(self._config, context)
            for page in self.context.pages[: self.max_pages]:  # the window that the browser opened by itself
                self.page_pool.add_page(page).mark_ready()  # type: ignore[no-untyped-call]  # Scrapling left it unannotated
        except BaseException:
            await self.playwright.stop()
            raise
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
        self._launch = launch
        self._driver = driver
        self._on_lost = on_lost
        self._scrapling: CamoufoxSession
        self._asked = ""

    async def start(self) -> None:
        """Launch the browser and from then on watch it."""
        if self._launch.engine == EngineName.CAMOUFOX.value:
            launch_args = await camoufox_args(self._launch)
        else:
            launch_args = firefox_args(self._launch)
        self._scrapling = CamoufoxSession(
            self._driver, launch_args, on_lost=lambda: self._on_lost("the browser is gone")
        )
        await self._scrapling.start()

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

    async def probe(self) -> None:
        """Return once the browser has answered."""
        await self._scrapling.probe()

    async def close(self) -> None:
        """End the browser politely, as a whole: with its last page Firefox quits without an answer."""
        self._scrapling.page_pool.clear()
        await self._scrapling.close()  # type: ignore[no-untyped-call]  # as above
