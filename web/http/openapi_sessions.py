"""The description of what is done with one live session; see `session_routes`."""

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from greenroom.actors.actions.actions import Action
from greenroom.actors.actions.decoding import MAX_ACTIONS
from greenroom.actors.actions.readings import Reading, Screenshot
from greenroom.actors.actions.results import PageInfo
from greenroom.web.http.openapi_errors import COMMANDING, USING
from greenroom.web.http.openapi_examples import ACTIONS, EXAMPLES, READINGS, as_json
from greenroom.web.http.openapi_parts import (
    JSON,
    LEASE,
    SESSION_ID,
    answer,
    content,
    nothing,
    operation,
    path_parameter,
    reference,
    request,
)
from greenroom.web.http.reading_schemas import (
    ConsoleLine,
    CookieLine,
    DownloadLine,
    Fetched,
    NetworkLine,
    StorageLines,
)
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

# What the JSON of a resource is a list of.
_LINES: Final[Mapping[str, type]] = {
    "pages": PageInfo,
    "cookies": CookieLine,
    "console": ConsoleLine,
    "network": NetworkLine,
    "downloads": DownloadLine,
}
SESSION_BODIES: Final[tuple[Any, ...]] = (
    *get_args(Action),
    *_LINES.values(),
    Actions,
    ExtendRequest,
    FetchRequest,
    Fetched,
    Files,
    PlaywrightAnswer,
    StorageLines,
    VerdictAnswer,
)
OPTIONAL_FIELDS: Final = {
    *(kind.__name__ for kind in get_args(Action)),
    ConsoleLine.__name__,
    ExtendRequest.__name__,
    FetchRequest.__name__,
    NetworkLine.__name__,
    "OriginState",
}
"""Whose fields have defaults for clients too, or may be missing in what they get."""

_BASE = "/tiktok/session/{session_id}"
_NAME: Json = path_parameter("name", "The download's name, as `.../downloads` lists it.")
_FILES: Json = {
    "type": "object",
    "description": "Each field is a file. It is kept under its own name, whatever the field's.",
    "minProperties": 1,
    "additionalProperties": {"type": "string", "format": "binary"},
}


def session_paths() -> Json:
    """Return the paths below a session's own."""
    paths: Json = {
        f"{_BASE}/actions": {
            "post": _command(
                "act",
                "Carry out one action, or several in order; the first that fails is the last.",
                {200: answer("All were carried out.", Actions)},
                LEASE,
                body={"required": True, "content": {JSON: _actions()}},
            )
        },
        f"{_BASE}/fetch": {
            "post": _command(
                "fetch",
                "Ask for a URL from within the page, with its cookies and the browser's TLS.",
                {
                    200: content(
                        "What came.",
                        JSON,
                        schema=reference(Fetched),
                        example=as_json(EXAMPLES[Fetched]),
                    )
                },
                LEASE,
                body=request(FetchRequest),
            )
        },
        f"{_BASE}/files": {
            "post": _command(
                "put_files",
                "Keep files, of 50 MB at most, for the action `upload`.",
                {200: answer("They are kept under these names.", Files)},
                body={"required": True, "content": {"multipart/form-data": {"schema": _FILES}}},
                codes=("SERVICE_UNAVAILABLE",),
            )
        },
        f"{_BASE}/downloads/{{name}}": {
            "get": _command(
                "download",
                "Send a download once it is complete.",
                {200: content("Its bytes.", "application/octet-stream")},
                _NAME,
            )
        },
        f"{_BASE}/trace/start": {
            "post": _command("start_trace", "Begin to record the pages.", {204: nothing("It has begun.")})
        },
        f"{_BASE}/trace/stop": {
            "post": _command(
                "stop_trace",
                "Stop the recording.",
                {200: content("A file for Playwright's trace viewer.", "application/zip")},
            )
        },
        f"{_BASE}/playwright": {
            "get": operation(
                "playwright",
                "Say where a client's own Playwright connects to; asked for as a WebSocket, be that place.",
                {200: answer("The address.", PlaywrightAnswer)},
                codes=(*USING, "INVALID_REQUEST", "TOO_MANY_CLIENTS"),
                parameters=[SESSION_ID],
                description="See *A client's own Playwright*, above. `on_held` is for the WebSocket.",
            )
        },
        f"{_BASE}/verdict": {
            "post": _command(
                "judge",
                "Look at the page again: who is logged in.",
                {200: answer("The verdict.", VerdictAnswer)},
            )
        },
        f"{_BASE}/screenshot": {
            "get": _command(
                "read_screenshot",
                _summary(Screenshot),
                {200: content("The picture.", "image/png", "image/jpeg", "image/webp")},
                *_query(Screenshot),
            )
        },
    }
    for name, (kind, type_) in RESOURCES.items():
        shown = as_json(READINGS.get(name))
        described = content(
            "What is read.", type_.partition(";")[0], schema=_shape(name, type_), example=shown
        )
        paths[f"{_BASE}/{name}"] = {
            "get": _command(f"read_{name}", _summary(kind), {200: described}, *_query(kind))
        }
    return paths


def extension() -> Json:
    """Return the description of `PATCH` on a session."""
    return operation(
        "extend_session",
        "Let a live session live longer, up to the configured ceiling.",
        {200: answer("The session, with its `expires_at`.", OneSession)},
        codes=(*USING, "INVALID_REQUEST"),
        parameters=[SESSION_ID],
        body=request(ExtendRequest),
    )


def _command(
    name: str,
    summary: str,
    answers: dict[int, Json],
    *more: Json,
    body: Json | None = None,
    codes: tuple[str, ...] = (),
) -> Json:
    large = () if body is None else ("SERVICE_UNAVAILABLE",)
    return operation(
        name,
        summary,
        answers,
        codes=(*COMMANDING, *large, *codes),
        parameters=[SESSION_ID, *more],
        body=body,
    )


def _actions() -> Json:
    one: Json = {
        "oneOf": [reference(kind) for kind in get_args(Action)],
        "discriminator": {
            "propertyName": "kind",
            "mapping": {
                str(kind.__struct_config__.tag): reference(kind)["$ref"] for kind in get_args(Action)
            },
        },
    }
    on_held: Json = {"type": "string", "enum": ["refuse", "wait"], "default": "refuse"}
    several: Json = {
        "type": "object",
        "required": ["actions"],
        "additionalProperties": False,
        "properties": {
            "actions": {"type": "array", "items": one, "minItems": 1, "maxItems": MAX_ACTIONS},
            "snapshot": {"type": "boolean", "default": False},
            "on_held": on_held,
        },
    }
    shown = {name: {"value": as_json(body)} for name, body in ACTIONS.items()}
    return {"schema": {"anyOf": [one, several]}, "examples": shown}


def _query(kind: type[Reading]) -> list[Json]:
    _, components = msgspec.json.schema_components((kind,), ref_template="{name}")
    properties: Mapping[str, Json] = components[kind.__name__]["properties"]
    return [
        {"name": name, "in": "query", "schema": _without_null(schema)}
        for name, schema in properties.items()
        if name != "kind"
    ]


def _without_null(schema: Json) -> Json:
    """Return the schema of a field that a query has or has not, for the field itself may be null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else schema


def _shape(name: str, type_: str) -> Json | None:
    if name in _LINES:
        return {"type": "array", "items": reference(_LINES[name])}
    if name == "storage":
        return reference(StorageLines)
    return {"type": "string"} if type_.startswith(("text/", "application/yaml")) else None


def _summary(kind: type[Reading]) -> str:
    return (kind.__doc__ or "").partition("\n")[0]
