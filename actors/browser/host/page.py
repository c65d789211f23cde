"""A browser and its single page, under Scrapling: launching, loading, inspecting."""

import asyncio
import contextlib
import functools
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import attrs
from playwright.async_api import BrowserContext, Error, Page, Request, Route
from playwright.async_api import TimeoutError as TimedOut
from scrapling.engines._browsers._stealth import AsyncStealthySession

from greenroom.actors.browser.host.document import (
    Answers,
    Sight,
    check_type,
    elsewhere,
    has_gone_on,
    look,
    whereabouts,
)
from greenroom.actors.browser.host.driver import Driver
from greenroom.actors.verdict import Finding, Method

# How long a page that has its document may take to show its viewer.
_RENDER_S = 2.0
# How long a load that is stopped may take to fail.
_STOP_S = 1.0
_NO_PAGE = "http://greenroom.invalid/"
# The page that a rehearsal shows.
_EMPTY_PAGE = '<!doctype html><link rel="icon" href="data:,"><title></title><p>.</p><script>0</script>'
# How long to wait before a page that could not be inspected is inspected again.
_AGAIN_S = 0.05
# How long to wait for a document's scripts, which may never come. After that, how often to check whether the
# document at least was read to its end.
_DOM_S = 3.0
_POLL_S = 0.2


class CamoufoxSession(AsyncStealthySession):
    """A Scrapling session on Camoufox or Firefox instead of the Chromium that Scrapling launches.

    `start` is replaced as Scrapling's guide to Camoufox as an engine says, with a driver shared by several
    sessions. Scrapling still sets up and closes the context. Its pool of pages is not used, because a page
    stays busy there if its use is cancelled at the wrong moment. There is one page, the window that the
    browser opened by itself. `load` is Scrapling's `fetch` without waiting for images: the page counts as
    loaded once it has its DOM, and stays open.
    """

    page: Page
    answers: Answers

    def __init__(
        self,
        driver: Driver,
        launch_args: Mapping[str, Any],
        on_lost: Callable[[], None],
        on_launched: Callable[[BrowserContext], None] = lambda _: None,
    ) -> None:
        super().__init__(headless=bool(launch_args["headless"]))
        self._on_launched = on_launched
        self._driver = driver
        self._given_up = False
        self._launch_args = launch_args
        self._on_lost = on_lost
        self.ended = asyncio.Event()

    async def start(self) -> None:
        """Launch the browser. Calls `on_lost` when the browser goes. Raises Playwright's `Error`."""
        playwright = await self._driver.get()
        context: Any = await playwright.firefox.launch_persistent_context(**self._launch_args)
        context.on("close", lambda _: self._note_end())
        self.context = await self._initialize_context(self._config, context)
        self.use(self.context.pages[0])
        self.page.set_default_timeout(0)  # the caller's cancellation is the timeout
        self.page.set_default_navigation_timeout(0)
        self._on_launched(self.context)
        self._is_alive = True

    def use(self, page: Page) -> None:
        """Look at this page from now on."""
        if getattr(self, "page", None) is page:
            return
        self.page, self.answers = page, Answers(page)
        self.answers.attach()

    def _note_end(self) -> None:
        self.ended.set()
        self._on_lost()

    async def probe(self) -> None:
        """Return once the driver and the browser's main process have answered."""
        await self.context.cookies(_NO_PAGE)

    async def load(self, url: str | None) -> None:
        """Load `url`, or the current page again, up to its document.

        Has no timeout of its own: the caller cancels it. Raises `PageUnreachable` if the answer was not a
        page, or Playwright's `Error`.
        """
        if self._given_up:
            await _stop_loading(self.page)
        self._given_up = True  # unless it succeeds
        self.answers.status = 0
        try:
            # An image's document never reports its DOM, so check first what it is.
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
        """Show an empty page at `url` without contacting anybody. A failure is only printed.

        Cancel it only by ending the browser; otherwise the route that answers for the network would stay.
        """
        try:
            await self.page.route("**/*", _answer_empty)
            await self.page.goto(url)
            await self.page.evaluate("document.documentElement.outerHTML")
        except Error as exc:
            print(f"the rehearsal failed: {exc!r}", file=sys.stderr)  # the daemon logs it
        await self.page.unroute_all()

    async def look(self, asked: str) -> Sight:
        """Inspect the page; `asked` is a URL of its site. Raises `PageUnreachable`."""
        while True:
            try:
                return await look(self.page, asked, self.answers)
            except Error as exc:
                await self._wait_for_next(exc)

    async def of_one_document(
        self, asked: str, method: Method, ask: Callable[[], Awaitable[Finding]]
    ) -> Finding:
        """Return a finding on the page, if it is on the site of `asked`; all from a single document."""
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
        """Return an id of the document that the page shows; "" if the page doesn't say."""
        with contextlib.suppress(Error):
            return (await whereabouts(self.page, asked)).document
        return ""

    async def _wait_for_next(self, error: Error) -> None:
        """Wait for the document to which the page has gone on. Raises `error` if the page was closed."""
        if self.page.is_closed():
            raise error
        await asyncio.sleep(_AGAIN_S)
        await self._wait_for_dom()

    async def _wait_for_dom(self) -> None:
        """Wait until the document was read to its end, and then a short time for scripts that follow it."""
        with contextlib.suppress(TimedOut):
            await self.page.wait_for_load_state("domcontentloaded", timeout=_DOM_S * 1000)
            return
        await self.page.wait_for_function("document.readyState !== 'loading'", polling=_POLL_S * 1000)

    async def wait_rendered(self, selectors: Iterable[str]) -> None:
        """Wait a short time until one of the selectors matches. The page may have no match at all."""
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
    """Stop an abandoned load of `page` and wait until it has failed.

    It would fail at the next load anyway, and a reload takes the page's first failure for its own. If this
    fails or takes too long, for example because the load has just ended, the next load deals with it.
    """

    def is_document(request: Request) -> bool:
        return request.is_navigation_request() and request.frame == page.main_frame

    with contextlib.suppress(Error, TimeoutError):
        async with (
            asyncio.timeout(_STOP_S),
            page.expect_event("requestfailed", is_document, timeout=_STOP_S * 1000),
        ):
            await page.evaluate("window.stop()")
