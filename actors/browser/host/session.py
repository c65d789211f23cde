"""One browser under Scrapling: launched by our engines, its page kept open, asked about its viewer."""

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import psutil
from playwright.async_api import Error, async_playwright
from scrapling.engines._browsers._stealth import AsyncStealthySession

from actors.browser import frames
from actors.browser.engines import EngineName
from actors.browser.host.camoufox import CamoufoxArgsBuilder
from actors.browser.host.firefox import firefox_args
from actors.verdict import Finding, LoginState, Method, analyse_html, judge_elements

# The names under which Firefox reports that a page could not be fetched; everything else in its error
# texts, the URL for one, is left out.
_NETWORK_ERROR = re.compile(r"NS_ERROR_\w+|NS_BINDING_ABORTED|SSL_ERROR_\w+|SEC_ERROR_\w+|\w+PortAccess")


_NO_PAGE = "http://greenroom.invalid/"


class PageUnreachable(Exception):
    """The page was not fetched; the text is an error name or an HTTP status."""


class CamoufoxSession(AsyncStealthySession):
    """A Scrapling session on Camoufox or Firefox instead of the Chromium that Scrapling launches.

    `start` is replaced as Scrapling's guide to Camoufox as an engine describes; pages, their pool, and
    closing remain Scrapling's. `load` is its `fetch` without waiting for images: the page counts as there
    with its DOM, and stays open.
    """

    def __init__(self, launch_args: Mapping[str, Any], on_lost: Callable[[], None]) -> None:
        super().__init__(headless=bool(launch_args["headless"]))
        self._launch_args = launch_args
        self._on_lost = on_lost

    async def start(self) -> None:
        """Launch the browser and tell `on_lost` when it goes. Raises Playwright's `Error`."""
        self.playwright = await async_playwright().start()
        try:
            self._watch_driver()
            context: Any = await self.playwright.firefox.launch_persistent_context(**self._launch_args)
            context.on("close", lambda _: self._on_lost())
            self.context = await self._initialize_context(self._config, context)
            for page in self.context.pages[: self.max_pages]:  # the window that the browser opened by itself
                self.page_pool.add_page(page).mark_ready()  # type: ignore[no-untyped-call]  # Scrapling left it unannotated
        except BaseException:
            await self.playwright.stop()
            raise
        self._is_alive = True

    def _watch_driver(self) -> None:
        """Tell `on_lost` when the driver dies: Playwright then leaves every call waiting for ever."""
        (driver,) = (child.pid for child in psutil.Process().children())
        pidfd = os.pidfd_open(driver)
        loop = asyncio.get_running_loop()

        def died() -> None:
            loop.remove_reader(pidfd)
            os.close(pidfd)
            self._on_lost()

        loop.add_reader(pidfd, died)

    async def probe(self) -> None:
        """Return once the driver and the browser's main process have answered."""
        await self.context.cookies(_NO_PAGE)

    async def load(self, url: str | None) -> int:
        """Load `url`, or the current page again, up to its document and return the HTTP status.

        Waits as long as it takes: whoever asks gives up by cancelling. Raises Playwright's `Error`.
        """
        async with self._page_generator(0, None, False) as info:
            page = info.page
            if url is None:
                response = await page.reload(wait_until="domcontentloaded")
            else:
                response = await page.goto(url, wait_until="domcontentloaded")
            return response.status if response else 200

    async def html(self) -> str:
        """Return the page's HTML as it is now."""
        async with self._page_generator(0, None, False) as info:
            while True:
                try:
                    return str(await info.page.content())
                except Error:  # it is on its way to another page
                    await info.page.wait_for_load_state("domcontentloaded")

    async def count(self, selectors: Mapping[str, str]) -> dict[str, int]:
        """Return how many elements each named selector matches."""
        async with self._page_generator(0, None, False) as info:
            return {name: await info.page.locator(css).count() for name, css in selectors.items()}


class BrowserSession:
    """What the host does for one session."""

    def __init__(self, launch: frames.Launch, *, on_lost: Callable[[str], None]) -> None:
        if launch.engine == EngineName.CAMOUFOX.value:
            launch_args = CamoufoxArgsBuilder(launch).build()
        else:
            launch_args = firefox_args(launch)
        self._scrapling = CamoufoxSession(launch_args, on_lost=lambda: on_lost("the browser is gone"))

    async def start(self) -> None:
        """Launch the browser and from then on watch it."""
        await self._scrapling.start()

    async def load(self, url: str | None) -> None:
        """Load a page up to its document. Raises `PageUnreachable`."""
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
                return await asyncio.to_thread(analyse_html, html)
            case Method.DOM:
                return judge_elements(await self._scrapling.count(selectors))
            case Method.API:
                return Finding(method=Method.API, state=LoginState.UNCERTAIN)

    async def probe(self) -> None:
        """Return once the browser has answered."""
        await self._scrapling.probe()

    async def close(self) -> None:
        """End the browser politely, as a whole: with its last page Firefox quits without an answer."""
        self._scrapling.page_pool.clear()
        await self._scrapling.close()  # type: ignore[no-untyped-call]  # as above
