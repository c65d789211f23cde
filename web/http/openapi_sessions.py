"""The description of what is done with one live session; see `session_routes`."""

from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

import msgspec

from greenroom.actors.actions.actions import Action
from greenroom.actors.actions.readings import Reading, Screenshot
from greenroom.web.http.schemas import (
    Actions,
    ExtendRequest,
    FetchRequest,
    Files,
    OneSession,
    PlaywrightAnswer,
    VerdictAnswer,
)
from greenroom.web.http.session_routes import RESOURCES

Json = dict[str, Any]

SESSION_BODIES: Final[tuple[Any, ...]] = (
    *get_args(Action),
    Actions,
    ExtendRequest,
    FetchRequest,
    Files,
    PlaywrightAnswer,
    VerdictAnswer,
)
OPTIONAL_FIELDS: Final = {
    *(kind.__name__ for kind in get_args(Action)),
    ExtendRequest.__name__,
    FetchRequest.__name__,
}
"""Whose fields have defaults for clients too."""

_BASE = "/tiktok/session/{session_id}"
_SESSION_ID: Json = {"name": "session_id", "in": "path", "required": True, "schema": {"type": "string"}}
_NAME: Json = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_COMMAND = (404, 409, 410, 422, 429, 502, 503, 504)


def session_paths(operation: Callable[..., Json], answer: Callable[..., Json]) -> Json:
    """Return the paths below a session's own, made by the functions that describe the others."""

    def add(name: str, summary: str, answers: dict[int, Json], *more: Json, body: Json | None = None) -> Json:
        described = operation(name, summary, answers, refusals=_COMMAND, parameters=[_SESSION_ID, *more])
        if body is not None:
            described["requestBody"] = {"required": True, "content": body}
        return described

    paths: Json = {
        f"{_BASE}/actions": {
            "post": add(
                "act",
                "Carry out one action, or several in order; the first that fails is the last.",
                {200: answer("All were carried out.", Actions)},
                body={"application/json": {"schema": _actions()}},
            )
        },
        f"{_BASE}/fetch": {
            "post": add(
                "fetch",
                "Ask for a URL from within the page, with its cookies and the browser's TLS.",
                {200: _content("What came: status, url, headers, body_base64.", "application/json")},
                body=_json(FetchRequest),
            )
        },
        f"{_BASE}/files": {
            "post": add(
                "put_files",
                "Keep files, of 50 MB at most, for the action `upload`.",
                {200: answer("They are kept under these names.", Files)},
                body={"multipart/form-data": {"schema": {"type": "object"}}},
            )
        },
        f"{_BASE}/downloads/{{name}}": {
            "get": add(
                "download",
                "Send a download once it is complete.",
                {200: _content("Its bytes.", "application/octet-stream")},
                _NAME,
            )
        },
        f"{_BASE}/trace/start": {
            "post": add("start_trace", "Begin to record the pages.", {204: {"description": "It has begun."}})
        },
        f"{_BASE}/trace/stop": {
            "post": add(
                "stop_trace",
                "Stop the recording.",
                {200: _content("A file for Playwright's trace viewer.", "application/zip")},
            )
        },
        f"{_BASE}/playwright": {
            "get": add(
                "playwright",
                "Say where a client's own Playwright connects to; asked for as a WebSocket, be that place.",
                {200: answer("The address.", PlaywrightAnswer)},
            )
        },
        f"{_BASE}/verdict": {
            "post": add(
                "judge",
                "Look at the page again: who is logged in.",
                {200: answer("The verdict.", VerdictAnswer)},
            )
        },
        f"{_BASE}/screenshot": {
            "get": add(
                "read_screenshot",
                _summary(Screenshot),
                {200: _content("The picture.", "image/png", "image/jpeg", "image/webp")},
                *_query(Screenshot),
            )
        },
    }
    for name, (kind, type_) in RESOURCES.items():
        described = add(
            f"read_{name}",
            _summary(kind),
            {200: _content("What is read.", type_.partition(";")[0])},
            *_query(kind),
        )
        paths[f"{_BASE}/{name}"] = {"get": described}
    return paths


def extension(operation: Callable[..., Json], answer: Callable[..., Json]) -> Json:
    """Return the description of `PATCH` on a session."""
    described = operation(
        "extend_session",
        "Let a live session live longer, up to the configured ceiling.",
        {200: answer("The session, with its `expires_at`.", OneSession)},
        refusals=(404, 409, 410, 422, 503),
        parameters=[_SESSION_ID],
    )
    described["requestBody"] = {"required": True, "content": _json(ExtendRequest)}
    return described


def _actions() -> Json:
    one: Json = {
        "oneOf": [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in get_args(Action)],
        "discriminator": {"propertyName": "kind"},
    }
    several: Json = {
        "type": "object",
        "required": ["actions"],
        "properties": {
            "actions": {"type": "array", "items": one, "minItems": 1},
            "snapshot": {"type": "boolean", "default": False},
        },
    }
    return {"anyOf": [one, several]}


def _query(kind: type[Reading]) -> list[Json]:
    _, components = msgspec.json.schema_components((kind,), ref_template="{name}")
    properties: Mapping[str, Json] = components[kind.__name__]["properties"]
    return [
        {"name": name, "in": "query", "schema": schema}
        for name, schema in properties.items()
        if name != "kind"
    ]


def _summary(kind: type[Reading]) -> str:
    return (kind.__doc__ or "").partition("\n")[0]


def _json(body: type) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}}


def _content(description: str, *types: str) -> Json:
    headers = {"X-Request-Id": {"description": "The request's id.", "schema": {"type": "string"}}}
    schemas: Json = {
        type_: {"schema": {} if type_ == "application/json" else {"type": "string", "format": "binary"}}
        for type_ in types
    }
    return {"description": description, "headers": headers, "content": schemas}
