"""Gives a browser cookies and what sites keep."""

from typing import Any

import msgspec
from playwright.async_api import BrowserContext

from greenroom.actors.machine.storage_state import StorageState
from greenroom.actors.verdict.site import is_same_site


async def restore(context: BrowserContext, state: StorageState) -> None:
    """Put `state` into the browser. Cookies of its sites that are there go; those of other sites stay.

    Playwright replaces all cookies, so the others are handed back to it.
    """
    given = {_url_of(cookie.domain) for cookie in state.cookies}
    kept = [
        cookie
        for cookie in await context.cookies()
        if not any(is_same_site(_url_of(cookie["domain"]), url) for url in given)
    ]
    whole: Any = msgspec.to_builtins(state)
    whole["cookies"] = [*kept, *whole["cookies"]]
    await context.set_storage_state(whole)


def _url_of(domain: str) -> str:
    return f"https://{domain.lstrip('.')}/"
