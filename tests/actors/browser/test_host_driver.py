"""Playwright's driver, as a child process of the host."""

import asyncio
import os

import psutil

from greenroom.actors.browser.host.driver import Driver
from tests.patience import patience


def test_variables_for_the_driver_are_set_for_it_alone() -> None:
    """A host's other children, and those of a process that runs a host inside it, don't inherit them."""
    before = dict(os.environ)

    async def start_and_look() -> list[str]:
        playwright = await asyncio.wait_for(Driver().get(), patience(20))
        try:
            assert dict(os.environ) == before
            drivers = psutil.Process().children()
            return [driver.environ().get("MALLOC_ARENA_MAX", "") for driver in drivers]
        finally:
            await playwright.stop()

    assert "1" in asyncio.run(start_and_look())
