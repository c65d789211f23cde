"""The shapes of request and response bodies.

Where clients may see all that the supervisor knows, its classes are sent as they are: msgspec encodes attrs
classes.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from greenroom.actors import resources
from greenroom.actors.actions.readings import Fetch
from greenroom.actors.actions.results import ActionResult, PageInfo
from greenroom.actors.lifecycle import (
    EndReason,
    Held,
    ProfileHolder,
    ProfileMode,
    Purpose,
    Receipt,
    SessionInfo,
    SessionState,
    Watcher,
    WatchMode,
)
from greenroom.actors.machine import ports
from greenroom.actors.verdict import Gate, LoginReason, LoginState, Method, Verdict
from greenroom.supervisor.self_check import Check, Subject
from greenroom.web.http.tokens import ScopeWord


class TikTokSessionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /tiktok/session`: an object without fields. The body may also be missing."""


class Usage(msgspec.Struct, kw_only=True):
    """What a session used when it was last sampled; `memory_bytes` is PSS."""

    memory_bytes: int
    processes: int
    disk_bytes: int

    @classmethod
    def of(cls, usage: resources.Usage) -> "Usage":
        """Return the part of a session's use that clients may see."""
        return cls(memory_bytes=usage.memory_bytes, processes=usage.processes, disk_bytes=usage.disk_bytes)


class Session(msgspec.Struct, kw_only=True):
    """One session. Times are UTC. `expires_at` and the login's fields are null until they are known.

    `phase_ms` maps each state that the session was in to whole milliseconds. `end_reason` is null until the
    session is ending, `usage` until the first sample, `receipt` until the session has ended. Nobody has asked
    for a warm session yet: `is_requested` is false. `clients` are attached with a Playwright of their own;
    `refused_calls` counts what they may not call. With `has_bundle`, `.../bundle` has more about its failure.
    `control` is the person who has control, null while programs do; `watchers` are watching, and `watched`
    have. `profile` is the name of its master profile. In the `profile_mode` write, it makes that profile's
    next generation; its receipt's `commit` says what came of that. `purpose` is what it is for.
    """

    id: str
    state: SessionState
    created_at: datetime
    expires_at: datetime | None
    login_state: LoginState | None
    login_reason: LoginReason | None
    login_method: Method | None
    phase_ms: dict[str, int]
    end_reason: EndReason | None
    usage: Usage | None
    receipt: Receipt | None
    is_requested: bool
    clients: int
    refused_calls: int
    has_bundle: bool
    control: Held | None
    watchers: tuple[Watcher, ...]
    watched: tuple[Watcher, ...]
    profile: str
    profile_mode: ProfileMode
    purpose: Purpose

    @classmethod
    def of(cls, info: SessionInfo) -> "Session":
        """Return the body for a session, from the supervisor's information."""
        return cls(
            id=info.id,
            state=info.state,
            created_at=info.created_at,
            expires_at=info.expires_at,
            login_state=info.verdict.state if info.verdict else None,
            login_reason=info.verdict.reason if info.verdict else None,
            login_method=info.verdict.method if info.verdict else None,
            phase_ms=dict(info.phase_ms),
            end_reason=info.reason,
            usage=Usage.of(info.usage) if info.usage else None,
            receipt=info.receipt,
            is_requested=info.is_requested,
            clients=info.clients,
            refused_calls=info.refused_calls,
            has_bundle=info.has_bundle,
            control=info.control,
            watchers=info.watchers,
            watched=info.watched,
            profile=info.profile.name,
            profile_mode=info.profile.mode,
            purpose=info.purpose,
        )


class TikTokSessionResponse(msgspec.Struct, kw_only=True):
    """A request that was carried out."""

    status: Literal["success"] = "success"
    message: str


class OneSession(TikTokSessionResponse, kw_only=True):
    """The answer to `GET /tiktok/session/{id}`.

    `viewer` is the handle of the logged-in user, or null if the page did not name it. No other answer has it.
    `playwright` is the address for a client's own Playwright, null while the session is not live.
    """

    session: Session
    viewer: str | None
    playwright: str | None

    @classmethod
    def of(cls, info: SessionInfo, *, message: str, playwright: str) -> "OneSession":
        """Return the answer about a session, whose address for Playwright would be `playwright`."""
        return cls(
            message=message,
            session=Session.of(info),
            viewer=info.verdict.viewer if info.verdict else None,
            playwright=playwright if info.state is SessionState.LIVE else None,
        )


class PlaywrightAnswer(TikTokSessionResponse, kw_only=True):
    """The answer to `GET .../playwright`.

    `address` is for Playwright's `connect`, with the daemon's token in a header if it has one. `driver`
    is the version of Playwright on the other side. `refused_calls` counts what clients may not call.
    """

    address: str
    driver: str
    clients: int
    refused_calls: int


class Actions(TikTokSessionResponse, kw_only=True):
    """The answer to `POST .../actions`: a result each, the page that the last one left, and its snapshot.

    The snapshot is null unless the request had `"snapshot": true`.
    """

    results: tuple[ActionResult, ...]
    page: PageInfo
    snapshot: str | None = None


class Files(TikTokSessionResponse, kw_only=True):
    """The answer to `POST .../files`: the names under which the action `upload` finds them."""

    files: tuple[str, ...]


class VerdictAnswer(TikTokSessionResponse, kw_only=True):
    """The answer to `POST .../verdict`: who is logged in, by the page as it is."""

    login_state: LoginState
    login_reason: LoginReason
    login_method: Method
    elapsed_ms: int
    viewer: str | None

    @classmethod
    def of(cls, verdict: Verdict) -> "VerdictAnswer":
        """Return the shape of a verdict."""
        return cls(
            message=f"The page says: {verdict.state.value.lower().replace('_', ' ')}",
            login_state=verdict.state,
            login_reason=verdict.reason,
            login_method=verdict.method,
            elapsed_ms=verdict.elapsed_ms,
            viewer=verdict.viewer,
        )


class ExtendRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PATCH /tiktok/session/{id}`: by how many seconds to extend the session."""

    extend_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class FetchRequest(Fetch, frozen=True, kw_only=True, tag=False, tag_field=None):
    """The body of `POST .../fetch`: what to ask for from within the page."""


# Nothing that could pass for other text where names are shown.
_Name = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[\w .,'()@+-]*$(?!\n)")]


class ControlRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST .../control`: who is to have control, and for how many seconds.

    `name` is what others are shown of a person. Programs have control for as long as no person has.
    """

    holder: Literal["human", "programs"]
    ttl_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 300
    name: _Name = ""


class ControlAnswer(TikTokSessionResponse, kw_only=True):
    """The answer to `GET` and `POST .../control`. `control` is null if programs have control.

    `lease` is for whoever has just taken control, else null: send it as `X-Control-Lease` with actions, and
    to keep or give back control.
    """

    control: Held | None
    lease: str | None


class LinkRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST .../links`: what the person may do, and for how many seconds."""

    mode: WatchMode = WatchMode.VIEW
    ttl_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 3600
    name: Annotated[_Name, msgspec.Meta(min_length=1)] = "guest"


class LinkInfo(msgspec.Struct, kw_only=True):
    """A link to one session."""

    id: str
    mode: WatchMode
    name: str
    expires_at: datetime


class LinkAnswer(TikTokSessionResponse, kw_only=True):
    """The answer to `POST .../links`. Nobody is told the `address` and the `token` in it again."""

    link: LinkInfo
    address: str
    token: str

    def __repr__(self) -> str:  # the address has the token in it
        return f"LinkAnswer(link={self.link!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("link", self.link)]


class LinksAnswer(TikTokSessionResponse, kw_only=True):
    """The answer to `GET .../links`: those that hold, oldest first."""

    links: tuple[LinkInfo, ...]


class PictureQuery(msgspec.Struct, forbid_unknown_fields=True):
    """The query of `.../live.jpg` and `.../live.mjpeg`: pictures a second at most, and a JPEG's quality."""

    fps: Annotated[float, msgspec.Meta(ge=0.05, le=30)] = 10
    quality: Annotated[int, msgspec.Meta(ge=1, le=100)] = 60


class LoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /login`: the daemon's token. The dashboard gets a cookie for it."""

    token: Annotated[str, msgspec.Meta(max_length=1000)]

    def __repr__(self) -> str:
        return "LoginRequest(...)"


class AllSessions(TikTokSessionResponse, kw_only=True):
    """The answer to `GET /tiktok/session`: the sessions that have not ended, oldest first.

    `warm` counts the warm sessions, which wait for a request. `checks` says what would keep the next session
    from going live.
    """

    sessions: list[Session]
    warm: int
    checks: Mapping[Subject, Check]


class OverviewAnswer(TikTokSessionResponse, kw_only=True):
    """The answer to `GET /overview`: all that there is, for the dashboard.

    `sessions` were asked for, oldest first; `ended` are the last 50 that have ended, latest first. Events
    after `last_event_id` say what has changed since.
    """

    sessions: list[Session]
    warm: list[Session]
    ended: list[Session]
    hosts: tuple[ports.HostInfo, ...]
    max_sessions: int
    last_event_id: str
    checks: Mapping[Subject, Check]
    engine: str
    sandbox: str
    has_token: bool


class Owned(msgspec.Struct, kw_only=True):
    """Processes, directories and ledger entries. `bytes` is the disk space of all the directories."""

    processes: tuple[ports.OwnedProcess, ...]
    directories: tuple[ports.OwnedDirectory, ...]
    entries: tuple[str, ...]
    bytes: int

    @classmethod
    def of(cls, owned: ports.Owned) -> "Owned":
        """Return the body for what the supervisor owns."""
        return cls(
            processes=owned.processes,
            directories=owned.directories,
            entries=owned.entries,
            bytes=sum(directory.bytes for directory in owned.directories),
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing."""
        return not (self.processes or self.directories or self.entries)


class Leaks(TikTokSessionResponse, kw_only=True):
    """The answer to `GET /leaks`: everything owned now, and the part of it that belongs to no session."""

    owned: Owned
    leaked: Owned


class Health(msgspec.Struct, kw_only=True):
    """The answer to `GET /health`: the daemon is well. `checks` has whatever else a session needs."""

    status: Literal["ok"] = "ok"
    checks: Mapping[Subject, Check]


class WhoAmI(TikTokSessionResponse, kw_only=True):
    """The answer to `GET /whoami`: a token's name, what it allows, and its profiles; null means all."""

    name: str
    scope: ScopeWord
    profiles: tuple[str, ...] | None


class ErrorDetails(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why a request was refused.

    `code` is for programs, `details` for people. `retryable` says whether the same request may well succeed
    later. With NOT_LOGGED_IN come the verdict's `state` and `reason`,
    the `method` that decided, `elapsed_ms` that it took, the `timeout` (seconds) of one try, and `hint`, what
    to do next, with the `gate` before the viewer, if any, and the `upstream_status` with which the page came;
    with INTERNAL_ERROR an `id`, which the log has too. `request_id` is in the log, too, and in the header
    X-Request-Id; `session_id` names the session that was begun, if one was, and `phase` its state then.

    With what failed in a live session come the `kind` of action or resource, the `index` of the action among
    several, from 0, and the `results` of those before it; `explanation` says more, and may quote the page;
    `matches` counts the elements of an ambiguous target, and `snapshot` is a fresh one for a stale ref. With
    SESSION_ENDED come `end_reason` and, once there is one, the `receipt`; with CONTROL_HELD, who has `held`
    control, and until when, if it is a person. `bundle` is the path of what is kept of a session that has
    failed.
    """

    code: str
    details: str
    retryable: bool
    method: str | None = None
    timeout: float | int | None = None
    state: LoginState | None = None
    reason: LoginReason | None = None
    elapsed_ms: int | None = None
    hint: str | None = None
    gate: Gate | None = None
    upstream_status: int | None = None
    id: str | None = None
    request_id: str | None = None
    session_id: str | None = None
    phase: str | None = None
    kind: str | None = None
    index: int | None = None
    results: tuple[ActionResult, ...] = ()
    explanation: str | None = None
    matches: int | None = None
    snapshot: str | None = None
    end_reason: EndReason | None = None
    receipt: Receipt | None = None
    held: Held | None = None
    holder: ProfileHolder | None = None
    bundle: str | None = None


class TikTokSessionErrorResponse(msgspec.Struct, kw_only=True):
    """A request that was refused or failed."""

    status: Literal["error"] = "error"
    message: str
    error_details: ErrorDetails
