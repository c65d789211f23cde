"""The baseline: the same job with Scrapling alone, as you would write it without Greenroom.

A session copies the logged-in profile, opens the browser on the copy, fetches the page, takes its content,
and finally removes the copy. The browser is launched as Scrapling's guide to Camoufox as an engine says, by a
session class that starts Camoufox instead of Chromium. If Camoufox is not installed, the same Firefox stands
in for it as in Greenroom, launched the same way.

One Python process makes all sessions, so the import of Scrapling and Camoufox happens once and is not timed.
Scrapling starts a Playwright driver for each session object. That is timed, as it is in Greenroom.
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

# The lock of a browser that has the profile open, and a cache that isn't worth copying.
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
    """Opens sessions on the page `url`, with copies of the logged-in `profile` made in `clones`."""

    engine: Engine
    url: str
    profile: Path
    clones: Path

    @contextlib.asynccontextmanager
    async def open_page(self) -> AsyncIterator[str]:
        """Run a session for the length of the block; yield the page's HTML."""
        async with self.open_browser() as session:
            response = await session.fetch(self.url)
            yield str(response.html_content)

    @contextlib.asynccontextmanager
    async def open_browser(self) -> AsyncIterator[CamoufoxSession]:
        """Copy the profile and run a browser on the copy for the length of the block."""
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
