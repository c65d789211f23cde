"""The baselines that Greenroom is compared with, and which of them are installed here."""

import contextlib
import importlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import attrs
from scrapling.engines._browsers._stealth import AsyncStealthySession

from benchmarks.bare_scrapling import BareScrapling
from greenroom.actors.browser.engines import EngineChoice, find_engine

SCRAPLING = "bare Scrapling"
CHROMIUM = "Scrapling on Chromium"
SELENIUM = "Selenium on Chromium"
_CHROMIUM, _CHROMEDRIVER = "chromium", "chromedriver"


class PeerSessions(Protocol):
    """How a baseline makes sessions."""

    def open_page(self) -> contextlib.AbstractAsyncContextManager[str]:
        """Run a session for the length of the block; yield the page's HTML."""


@attrs.frozen(kw_only=True)
class ScraplingOnChromium:
    """Scrapling as it comes, on Chromium. Chromium can't use a Firefox profile, so it gets a new one."""

    url: str
    clones: Path

    @contextlib.asynccontextmanager
    async def open_page(self) -> AsyncIterator[str]:
        """Run a session. It is not logged in."""
        with tempfile.TemporaryDirectory(dir=self.clones, ignore_cleanup_errors=True) as profile:
            async with AsyncStealthySession(
                headless=True, user_data_dir=profile, executable_path=shutil.which(_CHROMIUM)
            ) as session:
                response = await session.fetch(self.url)
                yield str(response.html_content)


@attrs.frozen(kw_only=True)
class SeleniumOnChromium:
    """Selenium with chromedriver, on a new profile. It is not async, so it runs one session at a time."""

    url: str
    clones: Path

    @contextlib.asynccontextmanager
    async def open_page(self) -> AsyncIterator[str]:
        """Run a session. It is not logged in."""
        webdriver: Any = importlib.import_module("selenium.webdriver")
        with tempfile.TemporaryDirectory(dir=self.clones, ignore_cleanup_errors=True) as profile:
            options = webdriver.ChromeOptions()
            options.binary_location = shutil.which(_CHROMIUM)
            options.add_argument("--headless=new")
            options.add_argument(f"--user-data-dir={profile}")
            if os.geteuid() == 0:
                options.add_argument("--no-sandbox")  # Chromium does not start as root otherwise
            service = webdriver.ChromeService(executable_path=shutil.which(_CHROMEDRIVER))
            browser = webdriver.Chrome(options=options, service=service)
            try:
                browser.get(self.url)
                yield str(browser.page_source)
            finally:
                browser.quit()


def make_peer(name: str, *, engine: str, url: str, profile: Path, clones: Path) -> PeerSessions:
    """Return the baseline of that name."""
    match name:
        case "chromium":
            return ScraplingOnChromium(url=url, clones=clones)
        case "selenium":
            return SeleniumOnChromium(url=url, clones=clones)
        case _:
            return BareScrapling(
                engine=find_engine(EngineChoice(engine)), url=url, profile=profile, clones=clones
            )


def missing_peers() -> dict[str, str]:
    """Return the baselines that can't run here, by their names in the report, each with the reason."""
    missing = {}
    if shutil.which(_CHROMIUM) is None:
        missing[CHROMIUM] = missing[SELENIUM] = "no chromium on PATH"
    elif shutil.which(_CHROMEDRIVER) is None:
        missing[SELENIUM] = "no chromedriver on PATH"
    elif importlib.util.find_spec("selenium") is None:
        missing[SELENIUM] = "not installed: `pip install greenroom[bench]`"
    return missing
