"""The baseline: the same job with Scrapling alone, as somebody would write it who has no Greenroom.

A session copies the logged-in profile, opens the browser on the copy, fetches the page, takes its content,
and removes the copy in the end. The browser is launched as Scrapling's guide to Camoufox as an engine
describes: a session class whose `start` launches Camoufox instead of Chromium. Where Camoufox is not
installed, the same Firefox stands in for it as in Greenroom, launched the same way.

One Python process makes all sessions, so importing Scrapling and Camoufox is paid for once and counted never;
Scrapling starts a Playwright driver for each session object, which counts, as it does in Greenroom.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
from camoufox.addons import DefaultAddons
from camoufox.utils import launch_options
from playwright.async_api import async_playwright
from scrapling.engines._browsers._stealth import AsyncStealthySession

from greenroom.actors.browser.engines import Engine, EngineName

# Locks of whoever has the profile open, and what only costs time to copy.
_NOT_COPIED = shutil.ignore_patterns("lock", ".parentlock", "cache2")


class CamoufoxSession(AsyncStealthySession):
    """A Scrapling session on Camoufox or Firefox, with a persistent profile."""

    def __init__(self, launch_args: dict[str, Any]) -> None:
        super().__init__(headless=True)
        self._launch_args = launch_args

    async def start(self) -> None:
        """Launch the browser."""
        self.playwright = await async_playwright().start()
        try:
            context: Any = await self.playwright.firefox.launch_persistent_context(**self._launch_args)
            self.context = await self._initialize_context(self._config, context)
        except BaseException:
            await self.playwright.stop()
            raise
        self._is_alive = True


@attrs.frozen(kw_only=True)
class BareScrapling:
    """Makes sessions of the page `url` on copies, in `clones`, of the logged-in `profile`."""

    engine: Engine
    url: str
    profile: Path
    clones: Path

    @contextlib.asynccontextmanager
    async def open_page(self) -> AsyncIterator[str]:
        """Own a session for the length of the block; yield the page's HTML."""
        async with self.open_browser() as session:
            response = await session.fetch(self.url)
            yield str(response.html_content)

    @contextlib.asynccontextmanager
    async def open_browser(self) -> AsyncIterator[CamoufoxSession]:
        """Own a copy of the profile and a browser on it."""
        clone = Path(tempfile.mkdtemp(dir=self.clones))
        try:
            await asyncio.to_thread(
                shutil.copytree, self.profile, clone, ignore=_NOT_COPIED, dirs_exist_ok=True
            )
            async with CamoufoxSession(self._launch_args(clone)) as session:
                yield session
        finally:
            await asyncio.to_thread(shutil.rmtree, clone, ignore_errors=True)

    def _launch_args(self, clone: Path) -> dict[str, Any]:
        args: dict[str, Any] = {"executable_path": str(self.engine.executable), "headless": True}
        if self.engine.name is EngineName.FIREFOX:
            args |= {"channel": "moz-firefox"}
        else:
            args = launch_options(
                **args, os="linux", fingerprint_preset=True, exclude_addons=list(DefaultAddons)
            )
        return {**args, "user_data_dir": str(clone), "no_viewport": True}
