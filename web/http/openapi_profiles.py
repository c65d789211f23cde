"""The description of the profiles' routes; see `profile_routes`."""

from collections.abc import Callable
from typing import Any, Final

from greenroom.actors.lifecycle import PROFILE_NAME
from greenroom.web.http.profile_schemas import (
    BrowseRequest,
    ImportAnswer,
    ProfileAnswer,
    ProfileLoginRequest,
    ProfilesAnswer,
    StartedAnswer,
)

Json = dict[str, Any]

PROFILE_BODIES: Final[tuple[Any, ...]] = (
    BrowseRequest,
    ImportAnswer,
    ProfileAnswer,
    ProfileLoginRequest,
    ProfilesAnswer,
    StartedAnswer,
)
OPTIONAL_PROFILE_FIELDS: Final = {BrowseRequest.__name__, ProfileLoginRequest.__name__}
"""Whose fields have defaults for clients too."""

PATTERN: Final = f"^{PROFILE_NAME}$"
_NAME: Json = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "The profile's name.",
    "schema": {"type": "string", "pattern": PATTERN},
}
_ALL: Json = {
    "name": "all",
    "in": "query",
    "description": "Whether to take what the file has of other sites, too.",
    "schema": {"type": "boolean", "default": False},
}


def profile_paths(
    operation: Callable[..., Json], answer: Callable[..., Json], where: Json, profile: Json, key: Json
) -> Json:
    """Return the paths, made by the functions that describe the others.

    `where` describes the headers that name a session, `profile` and `key` those that name a profile and a
    request.
    """
    log_in = operation(
        "log_in",
        "Start a session in which a person logs in to a profile, which is made if it is missing. It ends "
        "once its page shows a login, and its receipt says whether that is saved.",
        {202: answer("The session is live.", StartedAnswer, where)},
        refusals=(409, 422, 423, 502, 503, 504),
        parameters=[key, _NAME],
    )
    log_in["requestBody"] = _body(ProfileLoginRequest)
    import_login = operation(
        "import_login",
        "Give a profile, which is made if it is missing, a login: cookies.txt, cookies as a browser's "
        "extension exports them in JSON, or Playwright's storage state. A browser must show the "
        "login with it.",
        {200: answer("The profile has the login.", ImportAnswer)},
        refusals=(409, 422, 423, 502, 503, 504),
        parameters=[_NAME, _ALL],
    )
    import_login["requestBody"] = {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string"}}},
    }
    browse = operation(
        "browse",
        "Start a session that a person uses by hand: in a window if the daemon has a display, else in the "
        "live view. Its end saves the profile if the page shows a login.",
        {202: answer("The session is live.", StartedAnswer, where)},
        refusals=(409, 422, 423, 502, 503, 504),
        parameters=[key, profile],
    )
    browse["requestBody"] = _body(BrowseRequest)
    return {
        "/profiles": {
            "get": operation(
                "list_profiles",
                "List the profiles, and until when their logins can last.",
                {200: answer("The profiles.", ProfilesAnswer)},
                refusals=(503,),
            )
        },
        "/profiles/{name}": {
            "get": operation(
                "get_profile",
                "Show one profile.",
                {200: answer("The profile.", ProfileAnswer)},
                refusals=(404, 422, 503),
                parameters=[_NAME],
            )
        },
        "/profiles/{name}/login": {"post": log_in},
        "/profiles/{name}/import": {"post": import_login},
        "/browse": {"post": browse},
    }


def _body(body: type) -> Json:
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    return {"required": False, "content": {"application/json": {"schema": schema}}}
