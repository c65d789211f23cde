"""Playwright's driver: a Node process, started ahead of need, kept small, and watched."""

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import attrs
import psutil
from playwright.async_api import Playwright, async_playwright

_PRELOAD = Path(__file__).with_name("driver.cjs")
# Node's young generation is three spaces of 16 MB, and malloc keeps a heap for each thread: together 24 MB
# that a driver of few browsers does not need. NODE_OPTIONS quotes paths as JSON does.
_ENVIRONMENT = {
    "NODE_OPTIONS": f"--max-semi-space-size=1 --require {json.dumps(str(_PRELOAD), ensure_ascii=False)}",
    "MALLOC_ARENA_MAX": "1",
    # Where clients connect, relative to the working directory that the preloaded script sets: the path of a
    # Unix socket has little room.
    "PWTEST_SOCKETS_DIR": ".",
}


@attrs.define(eq=False)
class Driver:
    """A browser host's only driver, which all its browsers share. It ends with the host's cell.

    `lost` is set when it ends earlier, or does not start: calls to Playwright then fail, or wait forever.
    """

    lost: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _starting: asyncio.Task[Playwright] | None = attrs.field(default=None, init=False)

    def start_soon(self) -> None:
        """Start the driver; `get` returns it, or raises."""
        self._starting = asyncio.create_task(self._start())

    async def get(self) -> Playwright:
        """Return the driver, started if necessary. Raises Playwright's `Error` and `OSError`."""
        if self._starting is None:
            self.start_soon()
            assert self._starting is not None  # noqa: S101  # it was set just now
        # Shielded: other sessions wait for the same start, and one's cancellation must not end it.
        return await asyncio.shield(self._starting)

    async def probe(self) -> None:
        """Return once the driver has answered, or at once if it does not run."""
        if self._starting is not None and self._starting.done():
            context = await self._starting.result().request.new_context()
            await context.dispose()

    async def _start(self) -> Playwright:
        try:
            with _environment():
                playwright = await async_playwright().start()
            self._watch()
        except BaseException:
            self.lost.set()
            raise
        return playwright

    def _watch(self) -> None:
        # Playwright reports its driver's death to nobody: pending calls just wait forever.
        pidfd = os.pidfd_open(_driver_pid())
        loop = asyncio.get_running_loop()

        def note_death() -> None:
            loop.remove_reader(pidfd)
            os.close(pidfd)
            self.lost.set()

        loop.add_reader(pidfd, note_death)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Give processes started meanwhile what the driver needs: Playwright has no parameter for it."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def _driver_pid() -> int:
    """Return the driver's pid. Raises `ProcessLookupError` if it has already ended."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # a child that has just ended
            if child.cmdline()[-1:] == ["run-driver"]:
                return child.pid
    raise ProcessLookupError("the browser driver")
