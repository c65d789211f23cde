"""The paths of a session."""

from typing import Final

from quart import request

BASE: Final = "/tiktok/session/<session_id>"


def playwright_address(session_id: str) -> str:
    """Return a session's address for a client's own Playwright, as the client of this request sees it."""
    return f"ws://{request.host}{BASE.replace('<session_id>', session_id)}/playwright"
