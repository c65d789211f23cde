"""Gives a browser cookies and what sites keep."""

from typing import Any

import msgspec
from playwright.async_api import BrowserContext

from greenroom.actors.machine.storage_state import StorageState


async def restore(context: BrowserContext, state: StorageState) -> None:
    """Put `state` into the browser. Cookies of its sites that are there go; those of other sites stay.

    Playwright replaces all cookies, so the others are handed back to it.
    """
    given = {_bare(cookie.domain) for cookie in state.cookies}
    kept = [
        cookie
        for cookie in await context.cookies()
        if not any(_is_one_site(_bare(cookie["domain"]), domain) for domain in given)
    ]
    whole: Any = msgspec.to_builtins(state)
    whole["cookies"] = [*kept, *whole["cookies"]]
    await context.set_storage_state(whole)


def _bare(domain: str) -> str:
    return domain.lstrip(".").lower()


def _is_one_site(one: str, other: str) -> bool:
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")
