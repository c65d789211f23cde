"""What is asked of the daemon as a whole."""

from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from greenroom.actors.lifecycle import DEFAULT_PROFILE, EndReason, ProfileInfo, ProfileMode
from greenroom.supervisor.history import Outcome
from greenroom.web.client.errors import no_daemon
from greenroom.web.client.request import Reply, Request, as_type, json_of
from greenroom.web.client.session_requests import path_of
from greenroom.web.http.headers import KEY_HEADER, MODE_HEADER, PROFILE_HEADER
from greenroom.web.http.history_schemas import HistoryAnswer
from greenroom.web.http.profile_schemas import (
    ImportAnswer,
    ProfileLoginRequest,
    ProfilesAnswer,
    StartedAnswer,
)
from greenroom.web.http.schemas import AllSessions, Health, Leaks, OverviewAnswer, Session

SESSIONS = "/tiktok/session"


def create(
    *,
    profile: str = DEFAULT_PROFILE,
    mode: ProfileMode = ProfileMode.READ,
    idempotency_key: str | None = None,
) -> Request[str]:
    """Create a session; return its id once it is live.

    Without a key, the daemon ends what it has begun when this client hangs up, and nothing is repeated. With
    an `idempotency_key`, of 1 to 255 visible ASCII characters, the request is repeated when that may help,
    and all requests with the key within 15 minutes create one session. With `ProfileMode.WRITE`, the session
    makes the profile's next generation.
    """
    headers = {PROFILE_HEADER: profile, MODE_HEADER: mode.value}
    if idempotency_key is not None:
        headers[KEY_HEADER] = idempotency_key
    return Request(
        method="POST",
        path=SESSIONS,
        headers=headers,
        content=b"{}",
        read=_id_in,
        is_repeatable=idempotency_key is not None,
    )


def _id_in(reply: Reply) -> str:
    session_id = reply.headers.get("X-Session-Id", "")
    try:
        path_of(session_id)
    except ValueError as exc:
        raise no_daemon(reply.url, reply.status) from exc
    return session_id


def sessions() -> Request[list[Session]]:
    """Return the sessions that have not ended, oldest first."""
    read = as_type(AllSessions)
    return Request(method="GET", path=SESSIONS, read=lambda reply: read(reply).sessions, is_repeatable=True)


def overview() -> Request[OverviewAnswer]:
    """Return all that there is: sessions, warm ones, those that ended lately, hosts, checks."""
    return Request(method="GET", path="/overview", read=as_type(OverviewAnswer), is_repeatable=True)


def health() -> Request[Health]:
    """Return what the daemon has checked."""
    return Request(method="GET", path="/health", read=as_type(Health), is_repeatable=True)


def leaks() -> Request[Leaks]:
    """Return what the daemon owns, and which of it belongs to no session."""
    return Request(method="GET", path="/leaks", read=as_type(Leaks), is_repeatable=True)


def history(
    *,
    id: str | None = None,  # noqa: A002  # the field's name
    outcome: Outcome | str | None = None,
    end_reason: EndReason | str | None = None,
    profile: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Request[HistoryAnswer]:
    """Return how sessions ended: up to `limit` of those that have all that is given, the last first.

    `id` is a session's, or how it begins. They ended at `since` or later, and before `until`; a time without
    a zone is local. `cursor` is an answer's `next`: the list goes on there, for the same fields.
    """
    given = {
        "id": id,
        "outcome": outcome,
        "end_reason": end_reason,
        "profile": profile,
        "since": since and since.astimezone(UTC),
        "until": until and until.astimezone(UTC),
        "cursor": cursor,
        "limit": limit,
    }
    plain = msgspec.to_builtins({name: value for name, value in given.items() if value is not None})
    return Request(
        method="GET",
        path="/tiktok/history",
        params={name: str(value) for name, value in plain.items()},
        read=as_type(HistoryAnswer),
        is_repeatable=True,
    )


def profiles() -> Request[tuple[ProfileInfo, ...]]:
    """Return the profiles: the default one first, then by name."""
    read = as_type(ProfilesAnswer)
    return Request(
        method="GET", path="/profiles", read=lambda reply: read(reply).profiles, is_repeatable=True
    )


def log_in(profile: str, *, timeout_s: float = 600, window: bool = False) -> Request[StartedAnswer]:
    """Start a session in which a person logs in to a profile within `timeout_s`; return it and its address.

    With `window`, its browser has a window on the daemon's display.
    """
    return Request(
        method="POST",
        path=f"/profiles/{quote(profile, safe='')}/login",
        content=json_of(ProfileLoginRequest(timeout_s=timeout_s, window=window)),
        read=as_type(StartedAnswer),
    )


def import_login(profile: str, content: bytes, *, takes_all: bool = False) -> Request[ImportAnswer]:
    """Give a profile the login in an exported file; what is of other sites only if it `takes_all`."""
    return Request(
        method="POST",
        path=f"/profiles/{quote(profile, safe='')}/import",
        params={"all": "true"} if takes_all else {},
        content=content,
        read=as_type(ImportAnswer),
    )
