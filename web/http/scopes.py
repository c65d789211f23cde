"""Which scope a token needs for each request.

Read shows what there is, without what could be used to log in elsewhere. Control uses sessions. What can
change a profile takes admin, also where that depends on the request: see `Who.check_profile`.
"""

from collections.abc import Mapping
from typing import Final

from greenroom.web.http.session_paths import BASE
from greenroom.web.http.tokens import Scope

WEBSOCKET: Final = "WebSocket"
"""Stands for the method of a WebSocket's handshake."""

SCOPES: Final[Mapping[tuple[str, str], Scope]] = {
    ("GET", "/overview"): Scope.READ,
    ("GET", "/events"): Scope.READ,
    ("GET", "/leaks"): Scope.READ,
    ("POST", "/mcp"): Scope.READ,
    ("GET", "/metrics"): Scope.READ,
    ("GET", "/pressure"): Scope.READ,
    ("GET", "/ready"): Scope.READ,
    ("GET", "/whoami"): Scope.READ,
    ("GET", "/profiles"): Scope.READ,
    ("GET", "/profiles/<name>"): Scope.READ,
    ("POST", "/profiles/<name>/login"): Scope.ADMIN,
    ("POST", "/profiles/<name>/import"): Scope.ADMIN,
    ("POST", "/browse"): Scope.ADMIN,
    ("GET", "/tiktok/history"): Scope.READ,
    ("GET", "/tiktok/session"): Scope.READ,
    ("POST", "/tiktok/session"): Scope.CONTROL,
    ("GET", BASE): Scope.READ,
    ("PATCH", BASE): Scope.CONTROL,
    ("DELETE", BASE): Scope.CONTROL,
    ("POST", f"{BASE}/actions"): Scope.CONTROL,
    ("GET", f"{BASE}/bundle"): Scope.READ,
    ("GET", f"{BASE}/console"): Scope.READ,
    ("GET", f"{BASE}/control"): Scope.READ,
    ("POST", f"{BASE}/control"): Scope.CONTROL,
    ("GET", f"{BASE}/cookies"): Scope.CONTROL,
    ("GET", f"{BASE}/downloads"): Scope.READ,
    ("GET", f"{BASE}/downloads/<path:name>"): Scope.CONTROL,
    ("GET", f"{BASE}/events"): Scope.READ,
    ("POST", f"{BASE}/fetch"): Scope.CONTROL,
    ("POST", f"{BASE}/files"): Scope.CONTROL,
    ("GET", f"{BASE}/html"): Scope.READ,
    ("GET", f"{BASE}/links"): Scope.READ,
    ("POST", f"{BASE}/links"): Scope.CONTROL,
    ("DELETE", f"{BASE}/links/<link_id>"): Scope.CONTROL,
    ("GET", f"{BASE}/live.jpg"): Scope.READ,
    ("GET", f"{BASE}/live.mjpeg"): Scope.READ,
    ("GET", f"{BASE}/network"): Scope.READ,
    ("GET", f"{BASE}/pages"): Scope.READ,
    ("GET", f"{BASE}/pdf"): Scope.READ,
    ("GET", f"{BASE}/playwright"): Scope.READ,
    (WEBSOCKET, f"{BASE}/playwright"): Scope.CONTROL,
    ("GET", f"{BASE}/screenshot"): Scope.READ,
    ("GET", f"{BASE}/snapshot"): Scope.READ,
    ("GET", f"{BASE}/storage"): Scope.CONTROL,
    ("POST", f"{BASE}/trace/start"): Scope.CONTROL,
    ("POST", f"{BASE}/trace/stop"): Scope.CONTROL,
    ("POST", f"{BASE}/verdict"): Scope.CONTROL,
    ("GET", f"{BASE}/watch"): Scope.READ,
    (WEBSOCKET, f"{BASE}/watch"): Scope.READ,
}
"""The scope that each method and route needs. One that is not here needs admin. What the dashboard consists
of, and `/health`, need no token: see `dashboard_routes.is_open`."""

WHOLE_DAEMON: Final = frozenset({"/leaks", "/metrics"})
"""The routes that show something of all profiles together, so they are not for a token of only some."""


def scope_of(method: str, route: str | None) -> Scope:
    """Return the scope that a request needs; a path without a route, which is not found, needs any."""
    if route is None:
        return Scope.READ
    return SCOPES.get(("GET" if method == "HEAD" else method, route), Scope.ADMIN)
