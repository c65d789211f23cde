"""A person's hand in a page: mouse, keyboard and clipboard, with Playwright."""

import asyncio
import contextlib

import attrs
from playwright.async_api import Error, Page

from greenroom.actors.actions import inputs
from greenroom.actors.browser.host.failures import OperationFailed, timeout_failure
from greenroom.actors.browser.host.pages import Pages
from greenroom.actors.browser.wire.messages import Failure


@attrs.define(eq=False)
class Hand:
    """Does what comes by hand, one thing after the other."""

    _pages: Pages
    _busy: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)
    _keys: dict[str, Page] = attrs.field(factory=dict, init=False)
    _buttons: dict[inputs.Button, Page] = attrs.field(factory=dict, init=False)

    async def do(self, given: inputs.Input, timeout_s: float) -> None:
        """Do it in the page. Raises `OperationFailed` or Playwright's `Error`."""
        try:
            async with asyncio.timeout(timeout_s), self._busy:
                if isinstance(given, inputs.Release):
                    await self._release()
                    return
                page = self._pages.find(given.page)
                if self._pages.dialog_of(page) is not None:
                    raise OperationFailed(Failure.DIALOG, "The page shows a dialog: answer it first")
                self._note(page, given)
                await _until_dialog(self._pages, page, given)
        except TimeoutError as exc:
            raise timeout_failure(timeout_s) from exc

    def _note(self, page: Page, given: inputs.Input) -> None:
        match given:
            case inputs.Key(action="down", key=key):
                self._keys[key] = page
            case inputs.Key(action="up", key=key):
                self._keys.pop(key, None)
            case inputs.Mouse(action="down", button=button):
                self._buttons[button] = page
            case inputs.Mouse(action="up", button=button):
                self._buttons.pop(button, None)
            case _:
                pass

    async def _release(self) -> None:
        keys, buttons = self._keys, self._buttons
        self._keys, self._buttons = {}, {}
        for key, page in keys.items():
            with contextlib.suppress(Error):
                await page.keyboard.up(key)
        for button, page in buttons.items():
            with contextlib.suppress(Error):
                await page.mouse.up(button=button)


async def _until_dialog(pages: Pages, page: Page, given: inputs.Input) -> None:
    """Do it; return early if it opens a dialog, which the browser waits for."""
    doing = asyncio.create_task(_do(page, given))
    asking = asyncio.create_task(pages.wait_dialog(page))
    try:
        await asyncio.wait([doing, asking], return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
    finally:
        asking.cancel()
        if not doing.done():
            doing.cancel()


async def _do(page: Page, given: inputs.Input) -> None:  # one case a kind
    match given:
        case inputs.Mouse(action="move", x=x, y=y):
            await page.mouse.move(x, y)
        case inputs.Mouse(action="down", x=x, y=y, button=button, clicks=clicks):
            await page.mouse.move(x, y)
            await page.mouse.down(button=button, click_count=clicks)
        case inputs.Mouse(x=x, y=y, button=button, clicks=clicks):
            await page.mouse.move(x, y)
            await page.mouse.up(button=button, click_count=clicks)
        case inputs.Wheel(x=x, y=y, dx=dx, dy=dy):
            await page.mouse.move(x, y)
            await page.mouse.wheel(dx, dy)
        case inputs.Key(action="press", key=key, modifiers=modifiers):
            await page.keyboard.press("+".join((*modifiers, key)))
        case inputs.Key(action="down", key=key):
            await page.keyboard.down(key)
        case inputs.Key(key=key):
            await page.keyboard.up(key)
        case inputs.Text(text=text):
            await _type(page, text)
        case inputs.Paste(text=text):
            await page.keyboard.insert_text(text)


async def _type(page: Page, text: str) -> None:
    """Type one character at a time: of a text that is given up, the driver types at most one more."""
    for character in text:
        await page.keyboard.type(character)
