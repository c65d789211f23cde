"""The description of the profiles' routes; see `profile_routes`."""

from typing import Any, Final

from greenroom.actors.lifecycle import DEFAULT_PROFILE, PROFILE_NAME
from greenroom.web.http.openapi_errors import CREATING
from greenroom.web.http.openapi_parts import KEY, WHERE, answer, operation, path_parameter, request
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

_PATTERN: Final = f"^{PROFILE_NAME}$"
PROFILE: Final[Json] = {
    "name": "X-Profile",
    "in": "header",
    "description": "The name of the master profile that the session is to be of.",
    "schema": {"type": "string", "pattern": _PATTERN, "default": DEFAULT_PROFILE},
}
_NAME: Final[Json] = path_parameter("name", "The profile's name.", pattern=_PATTERN)
_ALL: Final[Json] = {
    "name": "all",
    "in": "query",
    "description": "Whether to take what the file has of other sites, too.",
    "schema": {"type": "boolean", "default": False},
}
_COOKIES_TXT: Final = "# Netscape HTTP Cookie File\n.tiktok.com\tTRUE\t/\tTRUE\t4102444800\tsessionid\t...\n"


def profile_paths() -> Json:
    """Return the paths of profiles."""
    return {
        "/profiles": {
            "get": operation(
                "list_profiles",
                "List the profiles, and until when their logins can last.",
                {200: answer("The profiles.", ProfilesAnswer)},
            )
        },
        "/profiles/{name}": {
            "get": operation(
                "get_profile",
                "Show one profile.",
                {200: answer("The profile.", ProfileAnswer)},
                codes=("PROFILE_NOT_FOUND", "INVALID_REQUEST"),
                parameters=[_NAME],
            )
        },
        "/profiles/{name}/login": {
            "post": operation(
                "log_in",
                "Start a session in which a person logs in to a profile.",
                {202: answer("The session is live.", StartedAnswer, WHERE)},
                codes=CREATING,
                parameters=[KEY, _NAME],
                body=request(ProfileLoginRequest, is_required=False),
                description="The profile is made if it is missing. The session ends once its page shows a "
                "login, and its receipt says whether that is saved.",
            )
        },
        "/profiles/{name}/import": {
            "post": operation(
                "import_login",
                "Give a profile a login that another program has exported.",
                {200: answer("The profile has the login.", ImportAnswer)},
                codes=(*CREATING, "INVALID_LOGIN_FILE", "SERVICE_UNAVAILABLE", "ACTION_FAILED"),
                parameters=[_NAME, _ALL],
                body={
                    "required": True,
                    "content": {
                        "application/octet-stream": {"schema": {"type": "string"}, "example": _COOKIES_TXT}
                    },
                },
                description="The body is cookies.txt, cookies as a browser's extension exports them in JSON, "
                "or Playwright's storage state. The profile is made if it is missing. A browser must show "
                "the login with it.",
            )
        },
        "/browse": {
            "post": operation(
                "browse",
                "Start a session that a person uses by hand.",
                {202: answer("The session is live.", StartedAnswer, WHERE)},
                codes=CREATING,
                parameters=[KEY, PROFILE],
                body=request(BrowseRequest, is_required=False),
                description="In a window if the daemon has a display, else in the live view. Its end saves "
                "the profile if the page shows a login.",
            )
        },
    }
