"""The description of the HTTP side for programs: `GET /openapi.json`."""

import functools
from collections.abc import Mapping
from typing import Any

import msgspec

from greenroom.actors.lifecycle import DEFAULT_PROFILE
from greenroom.web.http.openapi_history import HISTORY_BODIES, history_paths
from greenroom.web.http.openapi_monitoring import MONITORING_BODIES, monitoring_paths
from greenroom.web.http.openapi_profiles import (
    OPTIONAL_PROFILE_FIELDS,
    PATTERN,
    PROFILE_BODIES,
    profile_paths,
)
from greenroom.web.http.openapi_sessions import (
    OPTIONAL_FIELDS,
    SESSION_BODIES,
    extension,
    session_paths,
)
from greenroom.web.http.openapi_watching import (
    OPTIONAL_WATCHING_FIELDS,
    WATCHING_BODIES,
    watching_paths,
)
from greenroom.web.http.schemas import (
    AllSessions,
    ErrorDetails,
    Health,
    Leaks,
    OneSession,
    TikTokSessionErrorResponse,
    TikTokSessionRequest,
    TikTokSessionResponse,
    WhoAmI,
)

Json = dict[str, Any]

_REQUEST_ID: Json = {
    "description": "The request's id, as in the log: the client's if it sent a valid one, or a new one.",
    "schema": {"type": "string"},
}
_RETRY_AFTER: Json = {
    "description": "The seconds after which to ask again, if known.",
    "schema": {"type": "integer", "minimum": 1},
}
_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A request with the same key within 15 minutes gets the outcome of the first, "
    "except a 503.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
_PROFILE: Json = {
    "name": "X-Profile",
    "in": "header",
    "description": "The name of the master profile that the session is to be of.",
    "schema": {"type": "string", "pattern": PATTERN, "default": DEFAULT_PROFILE},
}
_MODE: Json = {
    "name": "X-Profile-Mode",
    "in": "header",
    "description": "`write` for a session whose copy becomes the profile's next generation at its end. "
    "Until then, no other session of the profile can be created.",
    "schema": {"type": "string", "enum": ["read", "write"], "default": "read"},
}
_WHERE: Json = {
    "Location": {"description": "The session's path.", "schema": {"type": "string"}},
    "X-Session-Id": {"description": "The session's id.", "schema": {"type": "string"}},
}
_ONE = "/tiktok/session/{session_id}"
_SESSION_ID: Json = {"name": "session_id", "in": "path", "required": True, "schema": {"type": "string"}}

_REFUSALS: Mapping[int, str] = {
    400: "The request is not valid HTTP/1.1, or has no Host header.",
    401: "The daemon's token is missing or wrong.",
    403: "The request is for another host, from a page of another origin, or more than a link allows.",
    404: "There is no such session, profile, page or file, no such path, or no history.",
    405: "The path does not support the method; `Allow` names those that it does.",
    408: "The request took too long to arrive.",
    409: "The page does not show a login, the session is not in the state for this, or its page is not.",
    410: "The session has ended; `end_reason` and `receipt` say how.",
    413: "The body, or what was asked for, is too large.",
    422: "A field, a header or the query is wrong, or the page can't do this.",
    423: "The master profile is open in a browser, or being written: by `holder`, if that is known.",
    426: "This is a WebSocket.",
    429: "Too many commands wait in the session, or too many watch it.",
    431: "The headers are too large.",
    500: "An unexpected error; `id` is also in the log.",
    502: "The page can't be loaded.",
    501: "Chunked is the only supported transfer encoding.",
    503: "There is no room, or the daemon is stopping.",
    504: "Creating the session, or the action, took too long.",
    505: "Only HTTP/1.1 and HTTP/1.0 are supported.",
}
# All other bodies are sent with all fields: a default in the code doesn't make a field optional for clients.
_WITH_OPTIONAL_FIELDS = {
    TikTokSessionRequest.__name__,
    ErrorDetails.__name__,
    "Field",
    *OPTIONAL_FIELDS,
    *OPTIONAL_WATCHING_FIELDS,
    *OPTIONAL_PROFILE_FIELDS,
}
_EVERYWHERE = (400, 401, 403, 405, 408, 413, 429, 431, 500, 501, 505)
_CHALLENGE: Json = {"description": "How to authenticate.", "schema": {"type": "string"}}
_ALLOW: Json = {"description": "The path's methods.", "schema": {"type": "string"}}
_HEADERS: Mapping[int, Json] = {
    401: {"WWW-Authenticate": _CHALLENGE},
    405: {"Allow": _ALLOW},
    409: {"Retry-After": _RETRY_AFTER},
    423: {"Retry-After": _RETRY_AFTER},
    426: {"Upgrade": {"description": "`websocket`", "schema": {"type": "string"}}},
    429: {"Retry-After": _RETRY_AFTER},
    503: {"Retry-After": _RETRY_AFTER},
}


@functools.cache
def describe_api(*, with_token: bool) -> Json:
    """Return the description as OpenAPI 3.1; `with_token` if clients must send one. Don't change it."""
    bodies = (
        *SESSION_BODIES,
        *WATCHING_BODIES,
        *PROFILE_BODIES,
        *MONITORING_BODIES,
        *HISTORY_BODIES,
        AllSessions,
        TikTokSessionRequest,
        TikTokSessionErrorResponse,
        Health,
        Leaks,
        OneSession,
        TikTokSessionResponse,
        WhoAmI,
    )
    _, schemas = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    schemas = msgspec.json.decode(msgspec.json.encode(schemas))  # defaults as JSON has them
    for name, schema in schemas.items():
        if name not in _WITH_OPTIONAL_FIELDS and "properties" in schema:
            schema["required"] = list(schema["properties"])
            for described in schema["properties"].values():
                described.pop("default", None)
    components: Json = {
        "schemas": schemas,
        "responses": {str(status): _refusal(status, why) for status, why in _REFUSALS.items()},
    }
    description: Json = {
        "openapi": "3.1.0",
        "info": {"title": "Greenroom", "version": "1"},
        "paths": _paths()
        | session_paths(_operation, _answer)
        | watching_paths(_operation, _answer)
        | profile_paths(_operation, _answer, _WHERE, _PROFILE, _KEY)
        | monitoring_paths(_operation, _answer, _PROFILE)
        | history_paths(_operation, _answer),
        "components": components,
    }
    if with_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        description["security"] = [{"token": []}]
        for path in (
            *("/", "/dashboard/{name}", "/health", "/history", "/login", "/logout"),
            f"{_ONE}/live",
        ):
            for described in description["paths"][path].values():
                described["security"] = []
    return description


def _paths() -> Json:
    create = _operation(
        "create_session",
        "Create a session: a logged-in browser on a clone of the master profile.",
        {200: _answer("The session is live.", TikTokSessionResponse, _WHERE)},
        refusals=(409, 422, 423, 502, 503, 504),
        parameters=[_KEY, _PROFILE, _MODE],
    )
    create["requestBody"] = {"required": False, "content": _content(TikTokSessionRequest)}
    return {
        "/tiktok/session": {
            "get": _operation(
                "list_sessions",
                "List the sessions that have not ended.",
                {200: _answer("The sessions, oldest first.", AllSessions)},
                refusals=(503,),
            ),
            "post": create,
        },
        _ONE: {
            "get": _operation(
                "get_session",
                "Show one session, until 15 minutes after its end.",
                {200: _answer("The session.", OneSession)},
                refusals=(404, 503),
                parameters=[_SESSION_ID],
            ),
            "patch": extension(_operation, _answer),
            "delete": _operation(
                "delete_session",
                "End a session. The answer comes once its browser and clone are gone.",
                {204: {"description": "It has ended.", "headers": {"X-Request-Id": _REQUEST_ID}}},
                refusals=(404, 503),
                parameters=[_SESSION_ID],
            ),
        },
        "/leaks": {
            "get": _operation(
                "find_leaks",
                "Show what this daemon owns now, and which part belongs to no session.",
                {200: _answer("What is owned, and what is leaked.", Leaks)},
                refusals=(503,),
            )
        },
        "/whoami": {
            "get": _operation(
                "whoami",
                "Show what your token allows.",
                {200: _answer("The token's name, scope and profiles.", WhoAmI)},
                refusals=(),
            )
        },
        "/health": {
            "get": _operation(
                "health", "Show that the daemon is well.", {200: _answer("It is well.", Health)}, refusals=()
            )
        },
    }


def _operation(
    name: str,
    summary: str,
    answers: dict[int, Json],
    *,
    refusals: tuple[int, ...],
    parameters: list[Json] | None = None,
) -> Json:
    refused = {
        str(status): {"$ref": f"#/components/responses/{status}"}
        for status in sorted({*_EVERYWHERE, *refusals})
    }
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters or [],
        "responses": {**{str(status): answer for status, answer in answers.items()}, **refused},
    }


def _answer(description: str, body: type, headers: Json | None = None) -> Json:
    return {
        "description": description,
        "headers": {"X-Request-Id": _REQUEST_ID, **(headers or {})},
        "content": _content(body),
    }


def _refusal(status: int, why: str) -> Json:
    return _answer(why, TikTokSessionErrorResponse, _HEADERS.get(status))


def _content(body: type) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}}
