"""Lets Playwright clients reach a browser, by a Unix socket in its host's own directory."""

import asyncio
import contextlib
import os
from pathlib import Path

import attrs
from playwright.async_api import BrowserContext


@attrs.define(eq=False)
class Binding:
    """The way for clients to one browser, opened when it is first asked for. It ends with the browser."""

    _context: BrowserContext
    _place: tuple[str, str] | None = attrs.field(default=None, init=False)
    _once: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    async def bind(self) -> tuple[str, str]:
        """Return the socket's path, relative to the driver's directory, and the browser's guid.

        Raises Playwright's `Error`.
        """
        async with self._once:
            if self._place is None:
                self._place = await self._bind()
        return self._place

    async def _bind(self) -> tuple[str, str]:
        browser = self._context.browser
        assert browser is not None  # noqa: S101  # a context that was launched has one
        guid: str = browser._impl_obj._guid  # noqa: SLF001  # nothing public has it
        try:
            bound = await browser.bind("session")
        finally:
            _forget(guid)
        return bound["endpoint"], guid


def _forget(guid: str) -> None:
    """Remove the note about the browser that Playwright writes for its own tools.

    It holds what the browser was launched with, a proxy's password included, and would never be removed.
    """
    with contextlib.suppress(FileNotFoundError):
        Path(os.environ["XDG_CACHE_HOME"], "ms-playwright", "b", guid).unlink()
