"""The description of what is watched and of who has control; see `event_routes`, `watch_routes`, `links`."""

from typing import Any, Final

import msgspec

from greenroom.web.http.event_messages import EventMessage, GapMessage
from greenroom.web.http.openapi_errors import FINDING, USING, WATCHING
from greenroom.web.http.openapi_examples import EXAMPLES
from greenroom.web.http.openapi_parts import (
    LEASE,
    SESSION_ID,
    answer,
    content,
    nothing,
    operation,
    path_parameter,
    request,
)
from greenroom.web.http.schemas import (
    ControlAnswer,
    ControlRequest,
    LinkAnswer,
    LinkRequest,
    LinksAnswer,
    OverviewAnswer,
    PictureQuery,
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
    OverviewAnswer,
)
OPTIONAL_WATCHING_FIELDS: Final = {ControlRequest.__name__, LinkRequest.__name__}
"""Whose fields have defaults for clients too."""

_BASE = "/tiktok/session/{session_id}"
_LAST_ID: Json = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that the client has.",
    "schema": {"type": "string"},
}
_LAST_ID_IN_QUERY: Json = _LAST_ID | {
    "name": "last_event_id",
    "in": "query",
    "description": "The same as `Last-Event-ID`, for clients that can't send headers.",
}


def watching_paths() -> Json:
    """Return the paths."""
    return {
        "/overview": {
            "get": operation(
                "overview",
                "Show all that there is: sessions, warm ones, those that ended lately, hosts.",
                {200: answer("All that there is.", OverviewAnswer)},
            )
        },
        "/events": {
            "get": operation(
                "events",
                "Send what happens, as Server-Sent Events; the data of each is an `EventMessage`.",
                {200: _events()},
                codes=("TOO_MANY_STREAMS",),
                parameters=[_LAST_ID, _LAST_ID_IN_QUERY],
                description="See *Events*, above.",
            )
        },
        f"{_BASE}/events": {
            "get": operation(
                "session_events",
                "Send what happens to one session, up to `session.ended`.",
                {200: _events(), 204: nothing("You have all its events.")},
                codes=(*FINDING, "TOO_MANY_STREAMS"),
                parameters=[SESSION_ID, _LAST_ID, _LAST_ID_IN_QUERY],
                description="See *Events*, above.",
            )
        },
        f"{_BASE}/watch": {
            "get": operation(
                "watch",
                "Watch a session over a WebSocket, and act in it by hand.",
                {101: nothing("The WebSocket is open.")},
                codes=(*WATCHING, "UPGRADE_REQUIRED"),
                parameters=[SESSION_ID],
                description="See *Watching over a WebSocket*, above.",
            )
        },
        f"{_BASE}/live.jpg": {
            "get": operation(
                "picture",
                "Send one picture of the page.",
                {200: content("The picture.", "image/jpeg")},
                codes=WATCHING,
                parameters=[SESSION_ID, *_picture_query()],
            )
        },
        f"{_BASE}/live.mjpeg": {
            "get": operation(
                "pictures",
                "Send pictures of the page, for an `<img>`, until the session ends.",
                {200: content("The pictures, one after another.", "multipart/x-mixed-replace")},
                codes=WATCHING,
                parameters=[SESSION_ID, *_picture_query()],
            )
        },
        f"{_BASE}/bundle": {
            "get": operation(
                "bundle",
                "Send what is kept of a session that has failed.",
                {200: content("The bundle.", "application/zip")},
                codes=("BUNDLE_NOT_FOUND",),
                parameters=[SESSION_ID],
            )
        },
        f"{_BASE}/control": {
            "get": operation(
                "show_control",
                "Show who has control of a session.",
                {200: answer("Who has control now.", ControlAnswer)},
                codes=FINDING,
                parameters=[SESSION_ID],
            ),
            "post": operation(
                "control",
                "Give control of a session to a person, or back to programs.",
                {200: answer("Who has control now.", ControlAnswer)},
                codes=(*USING, "INVALID_REQUEST", "CONTROL_HELD"),
                parameters=[SESSION_ID, LEASE],
                body=request(ControlRequest),
            ),
        },
        f"{_BASE}/links": {
            "get": operation(
                "list_links",
                "List the links that hold.",
                {200: answer("The links.", LinksAnswer)},
                codes=FINDING,
                parameters=[SESSION_ID],
            ),
            "post": operation(
                "make_link",
                "Make a link by which somebody without a token watches this session, or takes control of it.",
                {201: answer("The link.", LinkAnswer)},
                codes=(*FINDING, "SESSION_ENDED", "INVALID_REQUEST"),
                parameters=[SESSION_ID],
                body=request(LinkRequest),
            ),
        },
        f"{_BASE}/links/{{link_id}}": {
            "delete": operation(
                "revoke_link",
                "Revoke a link, if there is one of this id.",
                {204: nothing("It does not hold any more.")},
                codes=FINDING,
                parameters=[SESSION_ID, path_parameter("link_id", "The link's id.")],
            )
        },
    }


def _events() -> Json:
    data = msgspec.json.encode(EXAMPLES[GapMessage]).decode()
    return content(
        "The events.",
        "text/event-stream",
        schema={"type": "string"},
        example=f"retry: 1000\n\nevent: gap\ndata: {data}\n\n",
    )


def _picture_query() -> list[Json]:
    _, components = msgspec.json.schema_components((PictureQuery,), ref_template="{name}")
    return [
        {"name": name, "in": "query", "schema": schema}
        for name, schema in components[PictureQuery.__name__]["properties"].items()
    ]
