"""The description of what everybody may ask for: the daemon's health, pages, and the way in."""

from typing import Any, Final

from greenroom.web.http.openapi_parts import (
    SESSION_ID,
    answer,
    content,
    nothing,
    operation,
    path_parameter,
    request,
)
from greenroom.web.http.schemas import Health, LoginRequest

Json = dict[str, Any]

DASHBOARD_BODIES: Final[tuple[Any, ...]] = (Health, LoginRequest)

_COOKIE: Final[Json] = {"Set-Cookie": {"description": "The cookie.", "schema": {"type": "string"}}}


def dashboard_paths() -> Json:
    """Return the paths."""
    return {
        "/": {"get": _page("dashboard", "Show the dashboard.")},
        "/tiktok/session/{session_id}/live": {
            "get": _page("live", "Show one session in the dashboard.", SESSION_ID)
        },
        "/history": {"get": _page("history", "Show the sessions that have ended in the dashboard.")},
        "/docs": {"get": _page("docs", "Show this description.")},
        "/openapi.json": {
            "get": operation(
                "openapi",
                "Show this description, for programs.",
                {200: content("OpenAPI 3.1.", "application/json", schema={"type": "object"})},
                is_open=True,
            )
        },
        "/dashboard/{name}": {
            "get": operation(
                "dashboard_file",
                "Send a file of the dashboard.",
                {200: content("The file.", "text/css", "text/javascript", "image/svg+xml")},
                parameters=[path_parameter("name", "The file's name.")],
                is_open=True,
            )
        },
        "/health": {
            "get": operation(
                "health", "Show that the daemon is well.", {200: answer("It is well.", Health)}, is_open=True
            )
        },
        "/login": {
            "post": operation(
                "login",
                "Give the daemon's token, and get a cookie that stands for it, for the dashboard.",
                {204: nothing("The cookie is set, if the daemon has a token.")},
                codes=("INVALID_REQUEST", "UNAUTHORIZED"),
                body=request(LoginRequest),
                is_open=True,
            )
        },
        "/logout": {
            "post": operation(
                "logout", "Take the cookie back.", {204: nothing("It is gone.", _COOKIE)}, is_open=True
            )
        },
    }


def _page(name: str, summary: str, *parameters: Json) -> Json:
    return operation(
        name,
        summary,
        {200: content("A page.", "text/html", schema={"type": "string"})},
        parameters=parameters,
        is_open=True,
    )
