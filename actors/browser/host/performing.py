"""Carries out operations on a session's pages: each in bounded time, and none stuck at a dialog."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import msgspec
from playwright.async_api import BrowserContext, Page

from greenroom.actors.actions import actions, readings
from greenroom.actors.actions.results import Outcome
from greenroom.actors.browser.host.doing import Doing
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
        self.pages.is_used = True
        find = self.pages.find_any if isinstance(operation, _REVIVING) else self.pages.find
        page = find(operation.page)
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
        if isinstance(operation, actions.Dialog):
            value = await doing.do(operation)
            if (stuck := self._stuck.pop(page, None)) is not None:
                await asyncio.wait([stuck])
        else:
            value = await self._until_dialog(doing, operation, page)
        if isinstance(operation, actions.PageClose | actions.PageNew):
            page = self.pages.find_any(None)
        dialog = self.pages.dialog_of(page)
        outcome = Outcome(
            page=await self.pages.describe(page), value=msgspec.Raw(msgspec.json.encode(value)), dialog=dialog
        )
        return msgspec.json.encode(outcome)

    async def _until_dialog(self, doing: Doing, action: actions.Action, page: Page) -> Any:
        """Return an action's value, or None once it has opened a dialog, which keeps it from ending."""
        acting = asyncio.create_task(doing.do(action))
        asking = asyncio.create_task(self.pages.wait_dialog(page))
        try:
            await asyncio.wait([acting, asking], return_when=asyncio.FIRST_COMPLETED)
            if acting.done():
                return acting.result()
            if not page.is_closed():
                acting.add_done_callback(_forget)
                self._stuck[page] = acting
                return None
            return await acting
        finally:
            asking.cancel()
            if not acting.done() and page not in self._stuck:
                acting.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await acting


def _forget(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # it went on beside its dialog: its answer was given before
