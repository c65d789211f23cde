"""The parts that operations are described with."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from greenroom.web.http.openapi_errors import EVERYWHERE, GUARDED, refusals
from greenroom.web.http.openapi_examples import EXAMPLES, as_json

Json = dict[str, Any]

JSON: Final = "application/json"
REQUEST_ID: Final[Json] = {
    "description": "The request's id, as in the log: the client's if it sent a valid one, or a new one.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 64},
}
ASKED_ID: Final[Json] = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "An id for this request, to find it in the log. One that is not up to 64 letters, digits "
    "and `._:-` is replaced.",
    "schema": {"type": "string"},
}
SESSION_ID: Final[Json] = {
    "name": "session_id",
    "in": "path",
    "required": True,
    "description": "The session's id.",
    "schema": {"type": "string"},
}
LEASE: Final[Json] = {
    "name": "X-Control-Lease",
    "in": "header",
    "description": "The lease of the person who has control.",
    "schema": {"type": "string"},
}
KEY: Final[Json] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A request with the same key within 15 minutes gets the outcome of the first, "
    "except a 503.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
WHERE: Final[Json] = {
    "Location": {"description": "The session's path.", "schema": {"type": "string"}},
    "X-Session-Id": {"description": "The session's id.", "schema": {"type": "string"}},
}


def operation(
    name: str,
    summary: str,
    answers: Mapping[int, Json],
    *,
    codes: Iterable[str] = (),
    parameters: Iterable[Json] = (),
    body: Json | None = None,
    description: str | None = None,
    is_open: bool = False,
) -> Json:
    """Return the description of what one method of a path does.

    `answers` are the good ones by status, `codes` those of its refusals beside the usual ones. Everybody may
    ask for what `is_open`. `summary` is one line, `description` is Markdown.
    """
    asked = [*parameters, ASKED_ID]
    more = () if is_open else GUARDED
    if any(parameter["in"] == "path" for parameter in asked):
        more = (*more, "NOT_FOUND")
    described: Json = {
        "operationId": name,
        "summary": summary,
        "parameters": asked,
        "responses": {
            **{str(status): answer for status, answer in answers.items()},
            **refusals((*EVERYWHERE, *more, *codes)),
        },
    }
    if description is not None:
        described["description"] = description
    if body is not None:
        described["requestBody"] = body
    if is_open:
        described["security"] = []
    return described


def answer(description: str, body: type, headers: Json | None = None) -> Json:
    """Return the description of an answer in JSON."""
    return {
        "description": description,
        "headers": {"X-Request-Id": REQUEST_ID, **(headers or {})},
        "content": _content(body),
    }


def nothing(description: str, headers: Json | None = None) -> Json:
    """Return the description of an answer without a body."""
    return {"description": description, "headers": {"X-Request-Id": REQUEST_ID, **(headers or {})}}


def content(description: str, *types: str, schema: Json | None = None, example: Any = None) -> Json:
    """Return the description of an answer that is one of these media types."""
    described: Json = {"schema": schema or {"type": "string", "format": "binary"}}
    if example is not None:
        described["example"] = example
    return {
        "description": description,
        "headers": {"X-Request-Id": REQUEST_ID},
        "content": dict.fromkeys(types, described),
    }


def request(body: type, *, is_required: bool = True) -> Json:
    """Return the description of a request's body in JSON."""
    return {"required": is_required, "content": _content(body)}


def path_parameter(name: str, description: str, **schema: Any) -> Json:
    """Return the description of a part of the path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", **schema},
    }


def reference(body: type) -> Json:
    """Return a reference to the schema of a type."""
    return {"$ref": f"#/components/schemas/{body.__name__}"}


def _content(body: type) -> Json:
    return {JSON: {"schema": reference(body), "example": as_json(EXAMPLES[body])}}
