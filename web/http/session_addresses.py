"""Where a session is, as the client of a request sees it."""

from quart import request

from greenroom.web.http.scheme import http_scheme, websocket_scheme
from greenroom.web.http.session_paths import session_path


def live_address(session_id: str) -> str:
    """Return the address of a session's page in the dashboard."""
    return f"{http_scheme()}://{request.host}{session_path(session_id)}/live"


def playwright_address(session_id: str) -> str:
    """Return a session's address for a client's own Playwright."""
    return f"{websocket_scheme()}://{request.host}{session_path(session_id)}/playwright"
