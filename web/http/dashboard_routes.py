"""The dashboard: its pages and files, and how a browser gives the daemon a token."""

import functools
import re
from pathlib import Path
from typing import Final

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import NotFound

from greenroom.web.http.access import COOKIE, COOKIE_S, make_cookie
from greenroom.web.http.docs_page import docs_page
from greenroom.web.http.errors import Unauthorized
from greenroom.web.http.json_bodies import decode
from greenroom.web.http.schemas import LoginRequest
from greenroom.web.http.scheme import is_secure
from greenroom.web.http.session_paths import BASE, session_path
from greenroom.web.http.tokens import Tokens

FOLDER: Final = Path(__file__).parent.parent / "dashboard"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FILE = re.compile(r"[a-z][a-z0-9_]*\.(?:js|css|svg)")
_SESSION_PAGE = re.compile(f"{session_path('[^/]+')}/live")
# Nothing from elsewhere, nothing inline. Pictures of pages are made of what a WebSocket brings.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def is_page(path: str) -> bool:
    """Return whether there is a page for people under this path."""
    return path in {"/", "/docs", "/history"} or _SESSION_PAGE.fullmatch(path) is not None


def is_open(path: str) -> bool:
    """Return whether everybody may ask for this: it shows nothing of any session."""
    is_named = path in {"/health", "/login", "/logout", "/openapi.json"}
    return is_page(path) or is_named or path.startswith("/dashboard/")


def add_dashboard_routes(app: QuartTrio, tokens: Tokens) -> None:
    """Add the dashboard to the app."""
    _add_files(app)
    _add_login(app, tokens)


def _add_files(app: QuartTrio) -> None:
    @app.get("/")
    async def show_dashboard() -> Response:
        """Show all sessions."""
        return _file("index.html")

    @app.get("/history")
    async def show_history() -> Response:
        """Show the sessions that have ended."""
        return _file("history.html")

    @app.get(f"{BASE}/live")
    async def show_session(session_id: str) -> Response:  # noqa: ARG001  # the page reads it from its address
        """Show one session."""
        return _file("session.html")

    @app.get("/dashboard/<name>")
    async def send_file(name: str) -> Response:
        """Send a file that the pages are made of."""
        if not _FILE.fullmatch(name):
            raise NotFound
        return _file(name)

    @app.get("/docs")
    async def show_docs() -> Response:
        """Show the description of the HTTP side."""
        return _page(docs_page().encode(), "docs.html")


def _add_login(app: QuartTrio, tokens: Tokens) -> None:
    @app.post("/login")
    async def login() -> Response:
        """Take a token of the daemon; answer with a cookie that stands for it."""
        given = decode(await request.body, LoginRequest)
        response = Response(b"", status=204)
        if tokens:
            if (token := tokens.find(given.token)) is None:
                raise Unauthorized("This is not a token of the daemon")
            _set_cookie(response, make_cookie(token), COOKIE_S)
        return response

    @app.post("/logout")
    async def logout() -> Response:
        """Take the cookie back."""
        response = Response(b"", status=204)
        _set_cookie(response, "", 0)
        return response


def _set_cookie(response: Response, value: str, max_age: int) -> None:
    response.set_cookie(
        COOKIE, value, max_age=max_age, path="/", httponly=True, samesite="Strict", secure=is_secure()
    )


@functools.cache
def _read(name: str) -> bytes:
    try:
        return (FOLDER / name).read_bytes()
    except FileNotFoundError:
        raise NotFound from None


def _file(name: str) -> Response:
    return _page(_read(name), name)


def _page(content: bytes, name: str) -> Response:
    response = Response(content, content_type=_TYPES[Path(name).suffix])
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-cache"
    return response
