"""Carries out actions in a page, with Playwright."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any, Final

import attrs
from playwright.async_api import Error, Locator, Page, Response

from greenroom.actors.actions import actions
from greenroom.actors.browser.host.failures import OperationFailed
from greenroom.actors.browser.host.files import read_stored
from greenroom.actors.browser.host.pages import Pages
from greenroom.actors.browser.wire.messages import Failure

MAX_VALUE_CHARS: Final = 1 << 20
_REF = re.compile(r"(?:f[0-9]+)?e[0-9]+\Z")
# Playwright's own words at their place: an error that the page throws may hold any.
_CONTEXT_GONE = re.compile(
    r"(?:Page|JSHandle)\.\w+: Execution context was destroyed, most likely because of a"
)
_DOWNLOAD = "Download is starting"

# The page may have replaced what this calls: the type of what comes back is looked at again.
_TO_JSON = """
(value, limit) => {
    const text = JSON.stringify(value);
    if (text === undefined) return "null";
    return text.length <= limit ? text : null;
}
"""


@attrs.frozen
class Doing:
    """Actions in one page, whose refs are those of its latest snapshot. Times are milliseconds here.

    Every method returns the action's value in JSON's terms, and raises Playwright's `Error` or
    `OperationFailed`.
    """

    pages: Pages
    page: Page
    scratch: Path
    timeout_ms: float

    async def do(self, action: actions.Action) -> Any:  # noqa: C901  # one case a kind
        """Carry out an action and return its value."""
        match action:
            case actions.Navigate(url=url, wait_until=until):
                return await self._load(self.page.goto(url, wait_until=until, timeout=self.timeout_ms))
            case actions.Back(wait_until=until):
                return await self._load(self.page.go_back(wait_until=until, timeout=self.timeout_ms))
            case actions.Forward(wait_until=until):
                return await self._load(self.page.go_forward(wait_until=until, timeout=self.timeout_ms))
            case actions.Reload(wait_until=until):
                return await self._load(self.page.reload(wait_until=until, timeout=self.timeout_ms))
            case actions.Scroll():
                await self._scroll(action)
            case actions.WaitFor():
                await self._wait_for(action)
            case actions.Evaluate(expression=expression, arg=arg):
                return await self._evaluate(expression, arg)
            case actions.Dialog(accept=accept, text=text):
                await self.pages.answer_dialog(self.page, accept=accept, text=text)
            case actions.PageSelect():
                self.pages.select(self.page)
            case actions.PageClose():
                await self._close()
            case actions.PageNew(url=url):
                return await self._open(url)
            case _:
                return await self._act(action)
        return None

    async def locate(self, target: str) -> Locator:
        """Return the element that `target` names. Raises `OperationFailed` for a stale ref."""
        found = self._locator(target)
        if not _REF.match(target):
            return found
        try:
            if await found.count() == 1:
                return found
        except Error as exc:
            if "aria-ref" not in exc.message:
                raise
        raise OperationFailed(Failure.STALE_REF, f"The page has no element {target} any more")

    def _locator(self, target: str) -> Locator:
        return self.page.locator(f"aria-ref={target}" if _REF.match(target) else target)

    async def _act(self, action: actions.Action) -> Any:  # noqa: C901  # one line a kind
        limit = self.timeout_ms
        match action:
            case actions.Click(target=target, button=button, modifiers=modifiers, double=double):
                element = await self.locate(target)
                click = element.dblclick if double else element.click
                await click(button=button, modifiers=list(modifiers), timeout=limit)
            case actions.Type(target=target):
                await self._type(await self.locate(target), action)
            case actions.FillForm(fields=fields):
                for field in fields:
                    await self._fill(await self.locate(field.target), field.value)
            case actions.Press(key=key, target=None):
                await self.page.keyboard.press(key)
            case actions.Press(key=key, target=str(target)):
                await (await self.locate(target)).press(key, timeout=limit)
            case actions.Hover(target=target):
                await (await self.locate(target)).hover(timeout=limit)
            case actions.SelectOption(target=target, values=values):
                return await (await self.locate(target)).select_option(list(values), timeout=limit)
            case actions.CheckBox(target=target):
                await (await self.locate(target)).check(timeout=limit)
            case actions.UncheckBox(target=target):
                await (await self.locate(target)).uncheck(timeout=limit)
            case actions.Drag(target=target, to=to):
                await (await self.locate(target)).drag_to(await self.locate(to), timeout=limit)
            case actions.Upload(target=target, files=names):
                files = await asyncio.to_thread(read_stored, self.scratch, names)
                await (await self.locate(target)).set_input_files(files, timeout=limit)
            case _:
                raise AssertionError(action)
        return None

    async def _load(self, loading: Any) -> Any:
        """Return how a page came, None if it was not asked for anew."""
        try:
            response: Response | None = await loading
        except Error as exc:
            if _DOWNLOAD in exc.message:
                return {"status": None, "download": True}
            raise
        return {"status": response.status} if response is not None else None

    async def _type(self, element: Locator, action: actions.Type) -> None:
        if action.slowly:
            await element.press_sequentially(action.text, timeout=self.timeout_ms)
        else:
            await element.fill(action.text, timeout=self.timeout_ms)
        if action.submit:
            await element.press("Enter", timeout=self.timeout_ms)

    async def _fill(self, element: Locator, value: str | bool) -> None:
        if isinstance(value, bool):
            await element.set_checked(value, timeout=self.timeout_ms)
        elif await element.evaluate("element => element.tagName === 'SELECT'", timeout=self.timeout_ms):
            await element.select_option(value, timeout=self.timeout_ms)
        else:
            await element.fill(value, timeout=self.timeout_ms)

    async def _scroll(self, action: actions.Scroll) -> None:
        if action.target is not None:
            await (await self.locate(action.target)).scroll_into_view_if_needed(timeout=self.timeout_ms)
        if action.dx or action.dy:
            await self.page.mouse.wheel(action.dx, action.dy)

    async def _wait_for(self, action: actions.WaitFor) -> None:
        if action.seconds is not None:
            await asyncio.sleep(action.seconds)
        if action.url is not None:
            await self.page.wait_for_url(action.url, wait_until="commit", timeout=self.timeout_ms)
        if action.target is not None:
            await self._locator(action.target).first.wait_for(timeout=self.timeout_ms)
        if action.text is not None:
            await self.page.get_by_text(action.text).first.wait_for(timeout=self.timeout_ms)
        if action.text_gone is not None:
            gone = self.page.get_by_text(action.text_gone).filter(visible=True)
            await gone.first.wait_for(state="hidden", timeout=self.timeout_ms)

    async def _evaluate(self, expression: str, arg: Any) -> Any:
        try:
            handle = await self.page.evaluate_handle(expression, arg)
            try:
                text = await handle.evaluate(f"(value) => ({_TO_JSON})(value, {MAX_VALUE_CHARS})")
            finally:
                await handle.dispose()
        except Error as exc:
            # The expression has led to another document, and its value went with this one.
            if _CONTEXT_GONE.match(exc.message):
                return None
            raise
        if not isinstance(text, str) or len(text) > MAX_VALUE_CHARS:
            raise OperationFailed(Failure.TOO_LARGE, f"A value of over {MAX_VALUE_CHARS} characters of JSON")
        try:
            return json.loads(text)
        except ValueError as exc:
            raise OperationFailed(Failure.ACTION, "The page gave something else than JSON") from exc

    async def _open(self, url: str | None) -> Any:
        page = await self.page.context.new_page()
        page.set_default_timeout(0)
        page.set_default_navigation_timeout(0)
        self.pages.select(page)
        value = None
        if url is not None:
            value = await self._load(page.goto(url, timeout=self.timeout_ms))
        return {"page": self.pages.name_of(page), **(value or {})}

    async def _close(self) -> None:
        if self.pages.is_last:
            raise OperationFailed(Failure.ACTION, "The session's last page can't be closed: end the session")
        await self.page.close()
