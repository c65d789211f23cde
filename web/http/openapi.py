"""The description of the HTTP side for programs: `GET /openapi.json`."""

import functools
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from greenroom.web.http.access import COOKIE
from greenroom.web.http.errors import CATALOGUE
from greenroom.web.http.openapi_dashboard import DASHBOARD_BODIES, dashboard_paths
from greenroom.web.http.openapi_errors import (
    CREATING,
    FINDING,
    error_examples,
    refusal_components,
)
from greenroom.web.http.openapi_history import HISTORY_BODIES, history_paths
from greenroom.web.http.openapi_monitoring import MONITORING_BODIES, monitoring_paths
from greenroom.web.http.openapi_parts import (
    KEY,
    REQUEST_ID,
    SESSION_ID,
    WHERE,
    answer,
    nothing,
    operation,
    request,
)
from greenroom.web.http.openapi_profiles import (
    OPTIONAL_PROFILE_FIELDS,
    PROFILE,
    PROFILE_BODIES,
    profile_paths,
)
from greenroom.web.http.openapi_prose import INTRODUCTION, TAGS, tag_of
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
    Leaks,
    OneSession,
    TikTokSessionErrorResponse,
    TikTokSessionRequest,
    TikTokSessionResponse,
    WhoAmI,
)
from greenroom.web.http.scopes import scope_of
from greenroom.web.http.who import ROUTES_BY_LINK

Json = dict[str, Any]

_MODE: Final[Json] = {
    "name": "X-Profile-Mode",
    "in": "header",
    "description": "`write` for a session whose copy becomes the profile's next generation at its end. "
    "Until then, no other session of the profile can be created.",
    "schema": {"type": "string", "enum": ["read", "write"], "default": "read"},
}
_ONE: Final = "/tiktok/session/{session_id}"

# All other bodies are sent with all fields: a default in the code doesn't make a field optional for clients.
_WITH_OPTIONAL_FIELDS: Final = {
    TikTokSessionRequest.__name__,
    ErrorDetails.__name__,
    "ActionResult",
    "Field",
    *OPTIONAL_FIELDS,
    *OPTIONAL_WATCHING_FIELDS,
    *OPTIONAL_PROFILE_FIELDS,
}
_PYTHON_END: Final = "$(?!\n)"  # what `$` alone means elsewhere

_SCHEMES: Final[Json] = {
    "token": {"type": "http", "scheme": "bearer", "description": "The daemon's `token`."},
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "What `POST /login` gives the dashboard.",
    },
    "link": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of a link to this session, for people without the daemon's.",
    },
}


@functools.cache
def describe_api(*, with_token: bool) -> Json:
    """Return the description as OpenAPI 3.1; `with_token` if clients must send one. Don't change it."""
    paths = dashboard_paths() | _paths() | session_paths() | watching_paths() | profile_paths()
    paths |= monitoring_paths() | history_paths()
    operations = [operation for methods in paths.values() for operation in methods.values()]
    for path, methods in paths.items():
        for method, described in methods.items():
            described["tags"] = [tag_of(path)]
            if "security" not in described:
                _name_scope(method, path, described)
            if with_token and "security" not in described and (method.upper(), path) in _by_link():
                described["security"] = [{"token": []}, {"cookie": []}, {"link": []}]
    _link_sessions(paths)
    components: Json = {
        "schemas": _schemas(),
        "responses": refusal_components(operations, REQUEST_ID),
        "examples": error_examples(),
    }
    description: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "Greenroom",
            "version": "1",
            "summary": "Logged-in TikTok browser sessions on call.",
            "description": INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The daemon that serves this description."}],
        "tags": TAGS,
        "paths": paths,
        "components": components,
    }
    if with_token:
        components["securitySchemes"] = _SCHEMES
        description["security"] = [{"token": []}, {"cookie": []}]
    else:
        for described in operations:
            described.pop("security", None)
    return description


def _name_scope(method: str, path: str, described: Json) -> None:
    route = path.replace("downloads/{name}", "downloads/{path:name}").replace("{", "<").replace("}", ">")
    told = f"Takes a token with the scope `{scope_of(method.upper(), route).word}`."
    described["description"] = "\n\n".join((*filter(None, [described.get("description")]), told))


def _by_link() -> set[tuple[str, str]]:
    """Return the methods and paths that a link allows."""
    return {(method, _ONE + rest) for method, rest in ROUTES_BY_LINK}


def _link_sessions(paths: Json) -> None:
    """Say in each answer that names a new session what may be done with that."""
    links = {
        described["operationId"]: {
            "operationId": described["operationId"],
            "parameters": {"session_id": "$response.header.X-Session-Id"},
        }
        for path, methods in paths.items()
        for described in methods.values()
        if path.startswith(_ONE)
    }
    for path in ("/tiktok/session", "/profiles/{name}/login", "/browse"):
        for status, created in paths[path]["post"]["responses"].items():
            if status.startswith("2"):
                created["links"] = links


def _schemas() -> Json:
    """Return the schemas of all bodies, from the types that decode and encode them."""
    bodies = (
        *SESSION_BODIES,
        *WATCHING_BODIES,
        *PROFILE_BODIES,
        *MONITORING_BODIES,
        *HISTORY_BODIES,
        *DASHBOARD_BODIES,
        AllSessions,
        TikTokSessionRequest,
        TikTokSessionErrorResponse,
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
    details = schemas[ErrorDetails.__name__]
    details["properties"]["code"] = {"type": "string", "enum": sorted(CATALOGUE)}
    details["properties"]["request_id"] = {"type": "string"}  # set in each answer
    details["required"] = [*details["required"], "request_id"]
    plain: Json = _with_plain_patterns(schemas)
    return plain


def _with_plain_patterns(node: Any) -> Any:
    """Return the schemas whose patterns other languages understand as Python does."""
    if isinstance(node, Mapping):
        return {
            name: value.replace(_PYTHON_END, "$")
            if name == "pattern" and isinstance(value, str)
            else _with_plain_patterns(value)
            for name, value in node.items()
        }
    return [_with_plain_patterns(value) for value in node] if isinstance(node, list) else node


def _paths() -> Json:
    return {
        "/tiktok/session": {
            "get": operation(
                "list_sessions",
                "List the sessions that have not ended.",
                {200: answer("The sessions, oldest first.", AllSessions)},
                codes=("DRAINING",),
            ),
            "post": operation(
                "create_session",
                "Create a session: a logged-in browser on a clone of the master profile.",
                {200: answer("The session is live.", TikTokSessionResponse, WHERE)},
                codes=CREATING,
                parameters=[KEY, PROFILE, _MODE],
                body=request(TikTokSessionRequest, is_required=False),
            ),
        },
        _ONE: {
            "get": operation(
                "get_session",
                "Show one session, until 15 minutes after its end.",
                {200: answer("The session.", OneSession)},
                codes=FINDING,
                parameters=[SESSION_ID],
            ),
            "patch": extension(),
            "delete": operation(
                "delete_session",
                "End a session. The answer comes once its browser and clone are gone.",
                {204: nothing("It has ended.")},
                codes=(*FINDING, "CLEANUP_INCOMPLETE"),
                parameters=[SESSION_ID],
            ),
        },
        "/leaks": {
            "get": operation(
                "find_leaks",
                "Show what this daemon owns now, and which part belongs to no session.",
                {200: answer("What is owned, and what is leaked.", Leaks)},
                codes=("DRAINING",),
            )
        },
        "/whoami": {
            "get": operation(
                "whoami",
                "Show what your token allows.",
                {200: answer("The token's name, scope and profiles.", WhoAmI)},
            )
        },
    }
