"""What Greenroom is measured against, and which of it is installed here."""

import contextlib
import importlib
import importlib.util
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import attrs
from playwright.async_api import async_playwright
from scrapling.engines._browsers._stealth import AsyncStealthySession

from actors.browser.engines import EngineName, find_engine
from benchmarks.bare_scrapling import BareScrapling

SCRAPLING = "bare Scrapling"
CHROMIUM = "Scrapling on Chromium"
SELENIUM = "Selenium"


class PeerSessions(Protocol):
    """How one of them makes sessions."""

    def open_page(self) -> contextlib.AbstractAsyncContextManager[str]:
        """Own a session for the length of the block; yield the page's HTML."""


@attrs.frozen(kw_only=True)
class ScraplingOnChromium:
    """Scrapling as it comes, on its own Chromium, with a fresh profile: it can't use one of Firefox."""

    url: str
    clones: Path

    @contextlib.asynccontextmanager
    async def open_page(self) -> AsyncIterator[str]:
        """Own a session; the page shows nobody logged in."""
        with tempfile.TemporaryDirectory(dir=self.clones, ignore_cleanup_errors=True) as profile:
            async with AsyncStealthySession(headless=True, user_data_dir=profile) as session:
                response = await session.fetch(self.url)
                yield str(response.html_content)


@attrs.frozen(kw_only=True)
class SeleniumOnFirefox:
    """Selenium with geckodriver, which copies the profile by itself. It has no asyncio: one at a time."""

    url: str
    profile: Path

    @contextlib.asynccontextmanager
    async def open_page(self) -> AsyncIterator[str]:
        """Own a session."""
        webdriver: Any = importlib.import_module("selenium.webdriver")
        options = webdriver.FirefoxOptions()
        options.add_argument("-headless")
        options.binary_location = str(find_engine(EngineName.FIREFOX.value).executable)
        options.profile = str(self.profile)
        browser = webdriver.Firefox(options=options)
        try:
            browser.get(self.url)
            yield str(browser.page_source)
        finally:
            browser.quit()


def make_peer(name: str, *, engine: str, url: str, profile: Path, clones: Path) -> PeerSessions:
    """Return the peer of that name."""
    match name:
        case "chromium":
            return ScraplingOnChromium(url=url, clones=clones)
        case "selenium":
            return SeleniumOnFirefox(url=url, profile=profile)
        case _:
            return BareScrapling(engine=find_engine(engine), url=url, profile=profile, clones=clones)


async def missing_peers() -> dict[str, str]:
    """Return why each peer that can't run here can't, by its name in the report."""
    missing = {}
    async with async_playwright() as playwright:
        if not Path(playwright.chromium.executable_path).exists():  # noqa: ASYNC240  # nobody waits
            missing[CHROMIUM] = "not installed: `playwright install chromium`"
    if importlib.util.find_spec("selenium") is None:
        missing[SELENIUM] = "not installed: `pip install selenium`"
    elif shutil.which("geckodriver") is None:
        missing[SELENIUM] = "not installed: no geckodriver on PATH"
    return missing
