"""What is said over HTTP about profiles, and the sessions that write them."""

from typing import Annotated

import msgspec

from greenroom.actors.actions.actions import Url
from greenroom.actors.lifecycle import ProfileInfo
from greenroom.supervisor.api import LOGIN_S
from greenroom.web.http.schemas import Session, TikTokSessionResponse


class ProfilesAnswer(TikTokSessionResponse, kw_only=True):
    """The answer to `GET /profiles`: the default one first, then by name."""

    profiles: tuple[ProfileInfo, ...]


class ProfileAnswer(TikTokSessionResponse, kw_only=True):
    """The answer to `GET /profiles/{name}`."""

    profile: ProfileInfo


class ProfileLoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /profiles/{name}/login`, which may be empty.

    `timeout_s` is how many seconds there are to log in; with `window`, the browser has a window on the
    daemon's display.
    """

    timeout_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = LOGIN_S
    window: bool = False


class BrowseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /browse`, which may be empty: the page to open, if not the configured one."""

    url: Url | None = None


class StartedAnswer(TikTokSessionResponse, kw_only=True):
    """A session that a person is to use: in its window, or at the address `live` in a browser."""

    session: Session
    live: str


class ImportAnswer(TikTokSessionResponse, kw_only=True):
    """The answer to `POST /profiles/{name}/import`.

    The profile's new `generation` has the `cookies`. Those that have `expired` are not in it, and `left_out`
    counts those of other sites.
    """

    profile: str
    generation: int
    cookies: tuple[str, ...]
    expired: tuple[str, ...]
    left_out: int
