"""The description of refusals: which codes come where, and what each of them means."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from greenroom.web.http.error_guide import GUIDE
from greenroom.web.http.errors import CATALOGUE
from greenroom.web.http.schemas import ErrorDetails, TikTokSessionErrorResponse

Json = dict[str, Any]

EVERYWHERE: Final = (
    *("BAD_REQUEST", "HOST_NOT_ALLOWED", "ORIGIN_NOT_ALLOWED", "METHOD_NOT_ALLOWED", "REQUEST_TIMEOUT"),
    *("REQUEST_ENTITY_TOO_LARGE", "REQUEST_URI_TOO_LARGE", "REQUEST_HEADER_FIELDS_TOO_LARGE"),
    *("INTERNAL_ERROR", "NOT_IMPLEMENTED", "HTTP_VERSION_NOT_SUPPORTED"),
)
"""The codes of HTTP itself, and of what the daemon lets nobody do."""

GUARDED: Final = ("UNAUTHORIZED", "NOT_ALLOWED", "TOO_MANY_REQUESTS")
"""Where not everybody may ask."""

FINDING: Final = ("SESSION_NOT_FOUND", "DRAINING")
"""Where a session is looked for."""

USING: Final = (*FINDING, "NOT_LIVE", "SESSION_ENDED")
"""Where a session has to be live."""

WATCHING: Final = (*USING, "INVALID_REQUEST", "TOO_MANY_WATCHERS")
"""Where a session is watched."""

COMMANDING: Final = (
    *(*USING, "INVALID_REQUEST", "TOO_MANY_COMMANDS", "ACTION_FAILED", "ACTION_TIMEOUT", "AMBIGUOUS_TARGET"),
    *("STALE_REF", "NAVIGATION_FAILED", "PAGE_CRASHED", "DIALOG_OPEN", "PAGE_NOT_FOUND", "FILE_NOT_FOUND"),
    *("PAGE_TOO_LARGE", "STORAGE_FAILED", "CONTROL_HELD"),
)
"""Where something is done with a page, or read of it."""

CREATING: Final = (
    *("INVALID_REQUEST", "NOT_LOGGED_IN", "SESSION_DELETED", "NOT_A_PROFILE", "USER_DATA_LOCKED"),
    *("SESSION_TIMEOUT", "UPSTREAM_UNREACHABLE", "CAPACITY_EXHAUSTED", "OVERLOADED", "RESOURCES_EXHAUSTED"),
    *("OVER_BUDGET", "TOO_MANY_SESSIONS", "DRAINING", "PROFILE_NOT_FOUND", "PROFILE_NOT_REPLACED"),
)
"""Where a session is created."""

_REQUEST_ID: Final = "4a2ab2a2e2be"
_RETRY_AFTER: Final[Json] = {
    "description": "The seconds after which to ask again, if known.",
    "schema": {"type": "integer", "minimum": 1},
}
_TEXT: Final[Json] = {"type": "string"}
_HEADERS: Final[Mapping[int, Json]] = {
    401: {"WWW-Authenticate": {"description": "How to authenticate: `Bearer`.", "schema": _TEXT}},
    405: {"Allow": {"description": "The path's methods.", "schema": _TEXT}},
    409: {"Retry-After": _RETRY_AFTER},
    423: {"Retry-After": _RETRY_AFTER},
    426: {"Upgrade": {"description": "`websocket`", "schema": _TEXT}},
    429: {"Retry-After": _RETRY_AFTER},
    503: {"Retry-After": _RETRY_AFTER},
}


def by_status(codes: Iterable[str]) -> dict[int, tuple[str, ...]]:
    """Return codes by their statuses, each in the order of the alphabet."""
    found = sorted({(CATALOGUE[code].status, code) for code in codes})
    return {
        status: tuple(code for _, code in group)
        for status, group in itertools.groupby(found, key=lambda one: one[0])
    }


def refusals(codes: Iterable[str]) -> Json:
    """Return an operation's answers with these codes. They refer to `refusal_components`."""
    return {
        str(status): {"$ref": f"#/components/responses/{_name(status, group)}"}
        for status, group in by_status(codes).items()
    }


def refusal_components(operations: Iterable[Json], header: Json) -> Json:
    """Return the answers that operations refer to; `header` describes X-Request-Id."""
    names = {
        answer["$ref"].rpartition("/")[2]
        for operation in operations
        for answer in operation["responses"].values()
        if "$ref" in answer
    }
    return {name: _describe(name, header) for name in sorted(names)}


def example(code: str) -> TikTokSessionErrorResponse:
    """Return a body with this code."""
    known = CATALOGUE[code]
    details = ErrorDetails(
        code=code,
        details=GUIDE[code].example,
        retryable=known.is_retryable,
        request_id=_REQUEST_ID,
    )
    return TikTokSessionErrorResponse(message=known.message, error_details=details)


def error_examples() -> Json:
    """Return an example of each code's body."""
    return {
        code: {"summary": CATALOGUE[code].message, "value": msgspec.to_builtins(example(code))}
        for code in sorted(CATALOGUE)
    }


def _name(status: int, codes: tuple[str, ...]) -> str:
    return ".".join((str(status), *codes))


def _describe(name: str, header: Json) -> Json:
    status, *codes = name.split(".")
    # Keywords beside a reference hold too, since OpenAPI 3.1.
    schema = {
        "$ref": f"#/components/schemas/{TikTokSessionErrorResponse.__name__}",
        "properties": {"error_details": {"properties": {"code": {"enum": codes}}}},
    }
    return {
        "description": "\n".join(f"- `{code}`: {GUIDE[code].cause} {GUIDE[code].cure}" for code in codes),
        "headers": {"X-Request-Id": header, **_HEADERS.get(int(status), {})},
        "content": {
            "application/json": {
                "schema": schema,
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
            }
        },
    }
