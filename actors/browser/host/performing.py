"""Carries out operations on a session's pages: each in bounded time, and none stuck at a dialog."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from playwright.async_api import BrowserContext, Page

from greenroom.actors.actions import actions, readings
from greenroom.actors.browser.host.doing import Doing
from greenroom.actors.browser.host.encoding import to_json
from greenroom.actors.browser.host.failures import OperationFailed, timeout_failure
from greenroom.actors.browser.host.files import Downloads
from greenroom.actors.browser.host.pages import Pages
from greenroom.actors.browser.host.reading import Reader
from greenroom.actors.browser.wire.messages import Failure

# Playwright's own limit is the shorter one: its message says what was waited for.
_PATIENCE_S = 0.5
# These go on while a dialog is open.
_BESIDE_DIALOG = (actions.Dialog, actions.PageSelect, actions.PageNew, readings.Pages, readings.Console)
# These can do with a page that has crashed.
_REVIVING = (actions.Navigate, actions.Reload, actions.PageClose, actions.PageNew, actions.PageSelect)


@attrs.define(eq=False)
class Performer:
    """What clients do with one session's pages. One operation at a time."""

    pages: Pages
    downloads: Downloads
    _scratch: Path
    _stuck: dict[Page, asyncio.Task[Any]] = attrs.field(factory=dict, init=False)

    @classmethod
    def attach(
        cls, context: BrowserContext, scratch: Path, on_navigated: Callable[[Page], None]
    ) -> "Performer":
        """Return one for `context`, which has its first page; see `Pages` for `on_navigated`."""
        pages, downloads = Pages(context, on_navigated), Downloads(context, scratch)
        pages.attach()
        downloads.attach()
        return cls(pages, downloads, scratch)

    async def perform(self, operation: actions.Action | readings.Reading, timeout_s: float) -> bytes | Path:
        """Carry out an operation; return bytes, or the path of a file that nobody needs afterwards.

        Raises `OperationFailed`, or Playwright's `Error` where it might be the end of the browser.
        """
        self.pages.is_used = self.pages.keeps_dialogs = True
        page = self.pages.find(operation.page, may_have_crashed=isinstance(operation, _REVIVING))
        if (dialog := self.pages.dialog_of(page)) and not isinstance(operation, _BESIDE_DIALOG):
            raise OperationFailed(Failure.DIALOG, f"The page shows a dialog ({dialog.type}): answer it first")
        try:
            async with asyncio.timeout(timeout_s + _PATIENCE_S):
                return await self._perform(operation, page, timeout_s)
        except TimeoutError as exc:
            raise timeout_failure(timeout_s) from exc

    async def _perform(
        self, operation: actions.Action | readings.Reading, page: Page, timeout_s: float
    ) -> bytes | Path:
        if isinstance(operation, readings.Reading):
            reader = Reader(self.pages, page, self.downloads, self._scratch, timeout_s * 1000)
            return await reader.read(operation)
        doing = Doing(self.pages, page, self._scratch, timeout_s * 1000)
        acting = asyncio.create_task(doing.do(operation))
        try:
            value = await self._until_dialog(acting, page)
        finally:
            if self._stuck.get(page) is not acting:
                acting.cancel()
        if isinstance(operation, actions.Dialog) and (stuck := self._stuck.get(page)) is not None:
            await self._until_dialog(stuck, page)
        if isinstance(operation, actions.PageClose | actions.PageNew):
            page = self.pages.find(None, may_have_crashed=True)
        page_info, dialog = await self.pages.describe(page), self.pages.dialog_of(page)
        return to_json({"page": page_info, "value": value, "dialog": dialog})

    async def _until_dialog(self, acting: asyncio.Task[Any], page: Page) -> Any:
        """Return an action's value, or None if it opens a dialog, which it may have to wait for."""
        asking = asyncio.create_task(self.pages.wait_dialog(page))
        try:
            await asyncio.wait([acting, asking], return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()
        if not acting.done() and not page.is_closed():
            self._keep_stuck(acting, page)
            return None
        return await acting

    def _keep_stuck(self, acting: asyncio.Task[Any], page: Page) -> None:
        """Let an action go on beside its dialog; its answer is given now."""
        if self._stuck.get(page) is not acting:
            self._stuck[page] = acting
            acting.add_done_callback(lambda _: self._forget(acting, page))

    def _forget(self, acting: asyncio.Task[Any], page: Page) -> None:
        if self._stuck.get(page) is acting:
            del self._stuck[page]
        if not acting.cancelled():
            acting.exception()  # nobody else asks for it
