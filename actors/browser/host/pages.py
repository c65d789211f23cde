"""The pages of a session's browser: their names, their dialogs, and what happens in them."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import attrs
from playwright.async_api import (
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Error,
    Frame,
    Page,
    Request,
)

from greenroom.actors.actions.results import OpenDialog, PageInfo
from greenroom.actors.browser.host.failures import OperationFailed
from greenroom.actors.browser.wire.messages import Failure

# How many lines are kept of the consoles, and of the network.
LINES: Final = 500
_MAX_CHARS = 2000
# How long a page has after a navigation to show who its viewer is, before that is looked at.
_SETTLE_S = 0.5
# How long a page may take to say its title.
_TITLE_S = 1.0
# How long a dialog may stay open. The page does nothing meanwhile.
DIALOG_S: Final = 30.0


@attrs.define(eq=False)
class _Dialogs:
    """The dialog that a page shows, if any; it can show only one."""

    shown: Dialog | None = None
    change: asyncio.Event = attrs.field(factory=asyncio.Event)

    def set(self, dialog: Dialog | None) -> None:
        self.shown = dialog
        self.change.set()
        self.change = asyncio.Event()


@attrs.define(eq=False, slots=False)  # Playwright sets an attribute on the owner of a bound listener
class Pages:
    """Names a context's pages p1, p2, ..., and remembers which one is selected. Attach it to a context once.

    `is_used` says that somebody uses the session. A dialog waits for an answer only if somebody would see it
    (`keeps_dialogs`); else it is dismissed at once. `on_navigated` is called half a second after a page has
    gone to another document, once for all that did meanwhile, with the last of them.
    """

    _context: BrowserContext
    _on_navigated: Callable[[Page], None]
    is_used: bool = attrs.field(default=False, init=False)
    keeps_dialogs: bool = attrs.field(default=False, init=False)
    console: deque[dict[str, Any]] = attrs.field(factory=lambda: deque(maxlen=LINES), init=False)
    network: deque[dict[str, Any]] = attrs.field(factory=lambda: deque(maxlen=LINES), init=False)
    _pages: dict[str, Page] = attrs.field(factory=dict, init=False)
    _dialogs: dict[Page, _Dialogs] = attrs.field(factory=dict, init=False)
    _crashed: set[Page] = attrs.field(factory=set, init=False)
    selection_changed: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _selected: str = attrs.field(default="", init=False)
    _count: int = attrs.field(default=0, init=False)
    _requests: dict[Request, dict[str, Any]] = attrs.field(factory=dict, init=False)
    _navigated: Page | None = attrs.field(default=None, init=False)
    _tasks: set[asyncio.Task[None]] = attrs.field(factory=set, init=False)

    def attach(self) -> None:
        """Take in the pages that are there, and all that come."""
        for page in self._context.pages:
            self._add(page)
        self._context.on("page", self._add)
        self._context.on("dialog", self._note_dialog)
        self._context.on("console", self._note_console)
        self._context.on("request", self._note_request)
        self._context.on("requestfinished", self._note_finished)
        self._context.on("requestfailed", self._note_failed)

    def _add(self, page: Page) -> None:
        self._count += 1
        name = f"p{self._count}"
        self._pages[name] = page
        self._dialogs[page] = _Dialogs()
        self._set_selected(self._selected or name)
        page.on("close", lambda _: self._remove(name))
        page.on("crash", lambda _: self._crashed.add(page))
        page.on("framenavigated", lambda frame: self._note_navigation(page, frame))

    def _remove(self, name: str) -> None:
        page = self._pages.pop(name)
        self._dialogs.pop(page).set(None)
        self._crashed.discard(page)
        if self._selected == name:
            self._set_selected(next(reversed(self._pages), ""))

    def _note_navigation(self, page: Page, frame: Frame) -> None:
        if frame.parent_frame is None:
            self._crashed.discard(page)
            is_telling, self._navigated = self._navigated is not None, page
            if not is_telling:
                self._run(self._tell_navigated())

    async def _tell_navigated(self) -> None:
        await asyncio.sleep(_SETTLE_S)
        page, self._navigated = self._navigated, None
        if page is not None:
            self._on_navigated(page)

    # Names

    def find(self, name: str | None, *, may_have_crashed: bool = False) -> Page:
        """Return the page of that name, or else the selected one. Raises `OperationFailed`."""
        page = self._pages.get(name or self._selected)
        if page is None:
            raise OperationFailed(Failure.NO_PAGE, "There is no such page; see `pages`")
        if page in self._crashed and not may_have_crashed:
            raise OperationFailed(Failure.CRASHED, "The page has crashed: load it again, or open another")
        return page

    def name_of(self, page: Page) -> str:
        """Return a page's name, "" for one that is gone."""
        return next((name for name, other in self._pages.items() if other is page), "")

    def select(self, page: Page) -> None:
        """Make `page` the one that is used where none is named."""
        self._set_selected(self.name_of(page) or self._selected)

    @property
    def selected(self) -> Page | None:
        """The page that is used where none is named. `selection_changed` is set once it is another."""
        return self._pages.get(self._selected)

    def _set_selected(self, name: str) -> None:
        if name != self._selected:
            self._selected = name
            self.selection_changed.set()
            self.selection_changed = asyncio.Event()

    @property
    def is_last(self) -> bool:
        """Whether there is only one page."""
        return len(self._pages) <= 1

    async def describe(self, page: Page) -> PageInfo:
        """Return what is known of a page."""
        title = ""
        dialogs = self._dialogs.get(page)
        if dialogs is not None and dialogs.shown is None and page not in self._crashed:
            with contextlib.suppress(Error, TimeoutError):
                async with asyncio.timeout(_TITLE_S):
                    title = str(await page.title())[:_MAX_CHARS]
        name = self.name_of(page)
        return PageInfo(
            id=name,
            url=page.url[:_MAX_CHARS],
            title=title,
            selected=name == self._selected,
            dialog=self.dialog_of(page),
        )

    async def list(self) -> list[PageInfo]:
        """Return all pages, oldest first."""
        return list(await asyncio.gather(*(self.describe(page) for page in list(self._pages.values()))))

    # Dialogs

    def dialog_of(self, page: Page) -> OpenDialog | None:
        """Return the dialog that the page shows."""
        dialogs = self._dialogs.get(page)
        if dialogs is None or dialogs.shown is None:
            return None
        return OpenDialog(type=dialogs.shown.type, message=dialogs.shown.message[:_MAX_CHARS])

    async def wait_dialog(self, page: Page) -> None:
        """Return once the page shows a dialog, or is gone."""
        while (dialogs := self._dialogs.get(page)) is not None and dialogs.shown is None:
            await dialogs.change.wait()

    async def answer_dialog(self, page: Page, *, accept: bool, text: str | None) -> None:
        """Answer the dialog that the page shows, or the next one."""
        await self.wait_dialog(page)
        dialogs = self._dialogs.get(page)
        if dialogs is None or dialogs.shown is None:
            raise OperationFailed(Failure.NO_PAGE, "The page is gone")
        dialog = dialogs.shown
        dialogs.set(None)
        if accept:
            await (dialog.accept() if text is None else dialog.accept(text))
        else:
            await dialog.dismiss()

    def _note_dialog(self, dialog: Dialog) -> None:
        page = dialog.page
        dialogs = self._dialogs.get(page) if page is not None else None
        if dialogs is None or not self.keeps_dialogs or dialog.type == "beforeunload":
            # A page that asks whether to leave it would keep every navigation waiting.
            self._run(_settle(dialog, accept=dialog.type == "beforeunload"))
            return
        dialogs.set(dialog)
        self._run(self._dismiss_later(dialogs, dialog))

    async def _dismiss_later(self, dialogs: _Dialogs, dialog: Dialog) -> None:
        await asyncio.sleep(DIALOG_S)
        if dialogs.shown is dialog:
            dialogs.set(None)
            await _settle(dialog, accept=False)

    def _run(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What happens

    def _note_console(self, message: ConsoleMessage) -> None:
        line = {"at": time.time(), "type": message.type, "text": message.text[:_MAX_CHARS]}
        if message.page is not None:
            line["page"] = self.name_of(message.page)
        self.console.append(line)

    def _note_request(self, request: Request) -> None:
        line = {
            "at": time.time(),
            "method": request.method,
            "url": request.url[:_MAX_CHARS],
            "resource": request.resource_type,
            "status": None,
            "error": None,
        }
        while len(self._requests) >= LINES:
            del self._requests[next(iter(self._requests))]
        self._requests[request] = line
        self.network.append(line)

    def _note_finished(self, request: Request) -> None:
        if (line := self._requests.pop(request, None)) is not None:
            response = request.existing_response
            line["status"] = response.status if response is not None else None
            line["ms"] = round((time.time() - line["at"]) * 1000)

    def _note_failed(self, request: Request) -> None:
        if (line := self._requests.pop(request, None)) is not None:
            line["error"] = (request.failure or "failed")[:_MAX_CHARS]


async def _settle(dialog: Dialog, *, accept: bool) -> None:
    with contextlib.suppress(Error):  # it is gone already, or somebody else has answered it
        await (dialog.accept() if accept else dialog.dismiss())
