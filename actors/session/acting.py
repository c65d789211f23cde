"""A browser as commands have it: what acts in a page needs control, and is told to those who listen."""

from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlsplit

import attrs
import trio

from greenroom.actors.actions.actions import Operation
from greenroom.actors.actions.readings import Fetch, Reading
from greenroom.actors.errors import GreenroomError
from greenroom.actors.events import ActionNote
from greenroom.actors.machine.ports import Browser
from greenroom.actors.machine.result import Result

_MAX_CHARS = 200


def acts(operation: Operation) -> bool:
    """Return whether an operation can change something. Reading goes on while a person has control."""
    return not isinstance(operation, Reading) or isinstance(operation, Fetch)


@attrs.frozen(eq=False)
class _ActingBrowser:
    _browser: Browser
    _allow: Callable[[Operation], Awaitable[None]]
    _tell: Callable[[ActionNote], None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._browser, name)

    async def perform(self, operation: Operation, *, timeout_s: float) -> Result:
        if not acts(operation):
            return await self._browser.perform(operation, timeout_s=timeout_s)
        await self._allow(operation)
        started, outcome = trio.current_time(), "cancelled"
        try:
            result = await self._browser.perform(operation, timeout_s=timeout_s)
            outcome = "ok"
        except GreenroomError as exc:
            outcome = type(exc).__name__
            raise
        finally:
            ms = round((trio.current_time() - started) * 1000)
            self._tell(_note(operation, ms=ms, outcome=outcome))
        return result


def acting_browser(
    browser: Browser, *, allow: Callable[[Operation], Awaitable[None]], tell: Callable[[ActionNote], None]
) -> Browser:
    """Return `browser` for one command.

    `allow` returns once the command may do something, or raises, and `tell` hears what it has done.
    """
    return cast("Browser", _ActingBrowser(browser, allow, tell))


def _note(operation: Operation, *, ms: int, outcome: str) -> ActionNote:
    target = getattr(operation, "target", None)
    if target is None and (url := getattr(operation, "url", None)) is not None:
        target = _without_secrets(url)
    return ActionNote(
        kind=str(operation.__struct_config__.tag),
        target=target[:_MAX_CHARS] if target else None,
        page=operation.page,
        ms=ms,
        outcome=outcome,
    )


def _without_secrets(url: str) -> str:
    """Return a URL without its query, its fragment and credentials, any of which may be secret."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
