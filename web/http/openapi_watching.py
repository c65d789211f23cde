"""The description of what is watched and of who has control; see `event_routes`, `watch_routes`, `links`."""

from collections.abc import Callable
from typing import Any, Final

from greenroom.web.http.event_messages import EventMessage, GapMessage
from greenroom.web.http.schemas import (
    ControlAnswer,
    ControlRequest,
    LinkAnswer,
    LinkRequest,
    LinksAnswer,
    LoginRequest,
    OverviewAnswer,
)

Json = dict[str, Any]

WATCHING_BODIES: Final[tuple[Any, ...]] = (
    ControlAnswer,
    ControlRequest,
    EventMessage,
    GapMessage,
    LinkAnswer,
    LinkRequest,
    LinksAnswer,
    LoginRequest,
    OverviewAnswer,
)
OPTIONAL_WATCHING_FIELDS: Final = {ControlRequest.__name__, LinkRequest.__name__}
"""Whose fields have defaults for clients too."""

_BASE = "/tiktok/session/{session_id}"
_SESSION_ID: Json = {"name": "session_id", "in": "path", "required": True, "schema": {"type": "string"}}
_LAST_ID: Json = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that the client has. `?last_event_id=` is the same.",
    "schema": {"type": "string"},
}
_LEASE: Json = {
    "name": "X-Control-Lease",
    "in": "header",
    "description": "The lease of the person who has control.",
    "schema": {"type": "string"},
}
_FPS: Json = {
    "name": "fps",
    "in": "query",
    "schema": {"type": "number", "minimum": 0.05, "maximum": 30},
}
_QUALITY: Json = {
    "name": "quality",
    "in": "query",
    "schema": {"type": "integer", "minimum": 1, "maximum": 100},
}
_WATCH = """Watch a session: ask for it as a WebSocket. To the client go text messages in JSON: events, as in
`/events`; `{"type": "frame", "seq", "page", "width", "height"}`, each followed by a binary message with the
JPEG; `{"type": "refused", "of", "code", "details"}`; `{"type": "heartbeat"}`. From the client come
`{"type": "view", "fps", "quality"}` and `{"type": "ack", "seq"}` for each picture, `{"type": "lease",
"lease"}`, and what whoever has control does by hand: `mouse`, `wheel`, `key`, `text`, `paste`,
`navigate`."""


def watching_paths(operation: Callable[..., Json], answer: Callable[..., Json]) -> Json:
    """Return the paths, made by the functions that describe the others."""

    def of_session(
        name: str,
        summary: str,
        answers: dict[int, Json],
        *more: Json,
        body: type | None = None,
        refusals: tuple[int, ...] = (404, 409, 410, 422, 429, 503),
    ) -> Json:
        described = operation(name, summary, answers, refusals=refusals, parameters=[_SESSION_ID, *more])
        if body is not None:
            described["requestBody"] = _body(body)
        return described

    login = operation(
        "login",
        "Give the daemon's token, and get a cookie that stands for it, for the dashboard.",
        {204: {"description": "The cookie is set."}},
        refusals=(422,),
    )
    login["requestBody"] = _body(LoginRequest)
    return {
        "/": {"get": _page("dashboard", "Show the dashboard.", operation)},
        "/history": {"get": _page("history_page", "Show the page about ended sessions.", operation)},
        "/dashboard/{name}": {
            "get": operation(
                "dashboard_file",
                "Send a file of the dashboard.",
                {200: {"description": "The file."}},
                refusals=(404,),
                parameters=[{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
            )
        },
        "/login": {"post": login},
        "/logout": {
            "post": operation(
                "logout", "Take the cookie back.", {204: {"description": "It is gone."}}, refusals=()
            )
        },
        "/overview": {
            "get": operation(
                "overview",
                "Show all that there is: sessions, warm ones, those that ended lately, hosts.",
                {200: answer("All that there is.", OverviewAnswer)},
                refusals=(503,),
            )
        },
        "/events": {
            "get": operation(
                "events",
                "Send what happens, as Server-Sent Events; the data of each is an `EventMessage`.",
                {200: _stream("text/event-stream")},
                refusals=(503,),
                parameters=[_LAST_ID],
            )
        },
        f"{_BASE}/events": {
            "get": of_session(
                "session_events",
                "Send what happens to one session, up to `session.ended`.",
                {200: _stream("text/event-stream"), 204: {"description": "You have all its events."}},
                _LAST_ID,
            )
        },
        f"{_BASE}/watch": {
            "get": of_session(
                "watch",
                " ".join(_WATCH.split()),
                {101: {"description": "The WebSocket is open."}},
                refusals=(404, 409, 410, 426, 429, 503),
            )
        },
        f"{_BASE}/live": {"get": _page("live", "Show one session in the dashboard.", operation, _SESSION_ID)},
        f"{_BASE}/live.jpg": {
            "get": of_session(
                "picture", "Send one picture of the page.", {200: _stream("image/jpeg")}, _FPS, _QUALITY
            )
        },
        f"{_BASE}/live.mjpeg": {
            "get": of_session(
                "pictures",
                "Send pictures of the page, for an `<img>`, until the session ends.",
                {200: _stream("multipart/x-mixed-replace")},
                _FPS,
                _QUALITY,
            )
        },
        f"{_BASE}/bundle": {
            "get": of_session(
                "bundle", "Send what is kept of a session that has failed.", {200: _stream("application/zip")}
            )
        },
        f"{_BASE}/control": {
            "get": of_session(
                "show_control",
                "Show who has control of a session.",
                {200: answer("Who has control now.", ControlAnswer)},
            ),
            "post": of_session(
                "control",
                "Give control of a session to a person, or back to programs.",
                {200: answer("Who has control now.", ControlAnswer)},
                _LEASE,
                body=ControlRequest,
            ),
        },
        f"{_BASE}/links": {
            "get": of_session(
                "list_links", "List the links that hold.", {200: answer("The links.", LinksAnswer)}
            ),
            "post": of_session(
                "make_link",
                "Make a link by which somebody without a token watches this session, or takes control of it.",
                {201: answer("The link.", LinkAnswer)},
                body=LinkRequest,
            ),
        },
        f"{_BASE}/links/{{link_id}}": {
            "delete": of_session(
                "revoke_link",
                "Revoke a link.",
                {204: {"description": "It does not hold any more."}},
                {"name": "link_id", "in": "path", "required": True, "schema": {"type": "string"}},
            )
        },
    }


def _page(name: str, summary: str, operation: Callable[..., Json], *parameters: Json) -> Json:
    return operation(
        name,
        summary,
        {200: {"description": "A page.", "content": {"text/html": {"schema": {"type": "string"}}}}},
        refusals=(),
        parameters=list(parameters),
    )


def _stream(type_: str) -> Json:
    return {"description": "What was asked for.", "content": {type_: {"schema": {"type": "string"}}}}


def _body(body: type) -> Json:
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    return {"required": True, "content": {"application/json": {"schema": schema}}}
