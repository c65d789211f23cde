"""Shows the selected page as a stream of pictures, only while somebody takes them."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
from playwright._impl._api_structures import ScreencastFrame
from playwright.async_api import Error, Page

from greenroom.actors.browser.host.pages import Pages
from greenroom.actors.browser.wire.frames import MAX_FRAME_BYTES
from greenroom.actors.machine.frame import Frame

# A page that has not changed for so long is looked at less often, until somebody does something in it.
_STILL_S: Final = 1.0
_STILL_PERIOD_S: Final = 0.2


@attrs.define(eq=False)
class View:
    """Takes pictures of whichever page is selected, at most `fps` a second.

    The browser takes a picture only when the one before was sent, so a slow reader costs pictures and nothing
    else. One that shows what the last did is not sent.
    """

    _pages: Pages
    _quality: int
    _fps: float
    _awake: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _last: bytes = attrs.field(default=b"", init=False)
    _changed: float = attrs.field(default=0.0, init=False)

    def wake(self) -> None:
        """Look at the page more often again: something is done in it."""
        self._changed = time.monotonic()
        self._awake.set()

    async def run(self, send: Callable[[Frame], Awaitable[None]]) -> None:
        """Pass pictures to `send` until cancelled."""
        while True:
            selected = self._pages.selection_changed
            page = self._pages.selected
            if page is None:
                await selected.wait()
            else:
                await self._show(page, selected, send)

    async def _show(
        self, page: Page, selection_changed: asyncio.Event, send: Callable[[Frame], Awaitable[None]]
    ) -> None:
        """Show one page until another is selected. One that can't be shown is tried again later."""
        self._last = b""
        pictures: asyncio.Queue[tuple[ScreencastFrame, asyncio.Event]] = asyncio.Queue()

        async def take(picture: ScreencastFrame) -> None:
            done = asyncio.Event()
            pictures.put_nowait((picture, done))
            await done.wait()  # until then the browser takes no other

        changing = asyncio.create_task(selection_changed.wait())
        sending = asyncio.create_task(self._send(page, pictures, send))
        try:
            await page.screencast.start(on_frame=take, quality=self._quality)
            await asyncio.wait([changing, sending], return_when=asyncio.FIRST_COMPLETED)
        except Error:
            await asyncio.wait([changing], timeout=_STILL_PERIOD_S)
        finally:
            changing.cancel()
            sending.cancel()
            while not pictures.empty():
                pictures.get_nowait()[1].set()
            with contextlib.suppress(Error):
                await page.screencast.stop()
        if sending.done() and not sending.cancelled():
            sending.result()

    async def _send(
        self,
        page: Page,
        pictures: "asyncio.Queue[tuple[ScreencastFrame, asyncio.Event]]",
        send: Callable[[Frame], Awaitable[None]],
    ) -> None:
        while True:
            picture, done = await pictures.get()
            began = time.monotonic()
            try:
                if picture["data"] != self._last and len(picture["data"]) <= MAX_FRAME_BYTES:
                    self._last, self._changed = picture["data"], began
                    await send(
                        Frame(
                            page=self._pages.name_of(page) or "p0",
                            width=picture["viewportWidth"],
                            height=picture["viewportHeight"],
                            jpeg=picture["data"],
                        )
                    )
                await self._pause(began)
            finally:
                done.set()

    async def _pause(self, began: float) -> None:
        await asyncio.sleep(max(0.0, began + 1 / self._fps - time.monotonic()))
        if time.monotonic() - self._changed > _STILL_S:
            self._awake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STILL_PERIOD_S):
                    await self._awake.wait()
