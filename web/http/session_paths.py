"""The paths of a session."""

from typing import Final

from quart import request

from greenroom.web.http.scheme import http_scheme, websocket_scheme

BASE: Final = "/tiktok/session/<session_id>"


def live_address(session_id: str) -> str:
    """Return the address of a session's page in the dashboard, as the client of this request sees it."""
    return f"{http_scheme()}://{request.host}{BASE.replace('<session_id>', session_id)}/live"


def playwright_address(session_id: str) -> str:
    """Return a session's address for a client's own Playwright, as the client of this request sees it."""
    return f"{websocket_scheme()}://{request.host}{BASE.replace('<session_id>', session_id)}/playwright"
