"""One browser under Scrapling: launched by our engines, its page kept open, asked about its viewer."""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

from playwright.async_api import Error, async_playwright
from scrapling.engines._browsers._stealth import AsyncStealthySession
from scrapling.engines.toolbelt.convertor import ResponseFactory

from actors.browser import frames
from actors.browser.engines import EngineName
from actors.browser.host.camoufox import CamoufoxArgsBuilder
from actors.browser.host.firefox import firefox_args
from actors.verdict import Finding, LoginState, Method, analyse_html, judge_elements

# The names under which Firefox reports that a page could not be fetched; everything else in its error
# texts, the URL for one, is left out.
_NETWORK_ERROR = re.compile(r"NS_ERROR_\w+|NS_BINDING_ABORTED|SSL_ERROR_\w+|SEC_ERROR_\w+|\w+PortAccess")


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
            context: Any = await self.playwright.firefox.launch_persistent_context(**self._launch_args)
            context.on("close", lambda _: self._on_lost())
            self.context = await self._initialize_context(self._config, context)
        except BaseException:
            await self.playwright.stop()
            raise
        self._is_alive = True

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
            return await ResponseFactory._get_async_page_content(info.page)  # noqa: SLF001

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

    async def close(self) -> None:
        """End the browser politely."""
        await self._scrapling.close()  # type: ignore[no-untyped-call]  # Scrapling left it unannotated
