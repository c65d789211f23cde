"""The practice site: a stand-in for TikTok's home page, for the demo and for tests on a real browser.

`greenroom.web.practice.app` documents its routes.
"""

import contextlib
from collections.abc import AsyncIterator

from greenroom.web.http.serving import open_server
from greenroom.web.practice.app import create_practice_app

__all__ = ["create_practice_app", "open_practice_site"]


@contextlib.asynccontextmanager
async def open_practice_site(bind: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serve a new practice site inside the block; yield its base URL, without a trailing slash.

    Nobody is logged in at first. Leaving the block stops the site at once and cuts off requests in flight,
    even hanging ones. Raises BindFailed if it can't listen on the address.
    """
    async with open_server(create_practice_app(), bind, graceful_timeout_s=0) as base_url:
        yield base_url
