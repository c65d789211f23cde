"""The one map from errors to HTTP answers."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import attrs
import msgspec

from greenroom.actors.errors import (
    ActionFailed,
    ActionTimedOut,
    AmbiguousTarget,
    CapacityExhausted,
    CleanupIncomplete,
    ControlHeld,
    CreationTimedOut,
    DialogOpen,
    GreenroomError,
    HistoryNotKept,
    HistoryUnavailable,
    InvalidAction,
    LoginFileInvalid,
    NavigationFailed,
    NoSuchFile,
    NoSuchPage,
    NotAProfile,
    NotLoggedIn,
    NotReady,
    OverBudget,
    Overloaded,
    PageCrashed,
    PageGone,
    PageTooLarge,
    ProfileLocked,
    ProfileNotFound,
    ProfileNotReplaced,
    ResourcesExhausted,
    SessionDeleted,
    SessionEnded,
    SessionNotFound,
    SessionNotLive,
    StaleRef,
    StorageFailed,
    SupervisorStopped,
    TooManyClients,
    TooManyCommands,
    TooManySessions,
    TooManyWatchers,
    UpstreamUnreachable,
)
from greenroom.actors.lifecycle import Held, ProfileHolder
from greenroom.actors.verdict import LoginReason, Verdict
from greenroom.web.http.schemas import ErrorDetails, TikTokSessionErrorResponse
from greenroom.web.http.session_paths import bundle_path


class InvalidRequest(GreenroomError):
    """The request's body, query or headers are invalid; the text says which part."""

    quotes_client = True


class Unauthorized(GreenroomError):
    """The request has no token that the daemon knows."""


class OriginNotAllowed(GreenroomError):
    """The request comes from a web page of an origin that is not configured."""


class HostNotAllowed(GreenroomError):
    """The request is for another host: a page may have made its own name resolve to this machine."""


class BundleNotFound(GreenroomError):
    """Nothing is kept of this session: it has not failed, that was long ago, or nothing is kept at all."""


class NotAllowed(GreenroomError):
    """Whoever asks may not do this; the text says what they may."""


class TooManyRequests(GreenroomError):
    """More requests came with a token than it allows. `retry_after_s` is when it allows one again."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyStreams(GreenroomError):
    """Whoever asks reads as many streams as they may."""

    retry_after_s: Final = 5.0

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} streams of events are open: close one")


class McpNotInstalled(GreenroomError):
    """The daemon runs without the extra that the Model Context Protocol takes."""

    def __init__(self) -> None:
        super().__init__("The daemon was installed without the extra `mcp`: `pip install 'greenroom[mcp]'`")


class UpgradeRequired(GreenroomError):
    """What was asked for with plain HTTP is a WebSocket."""


# What may well be otherwise when the same request comes again later: these statuses, and these codes.
_RETRYABLE = {408, 423, 429, 502, 503, 504}
_PASSING = {"NOT_LIVE", "CONTROL_HELD"}


@attrs.frozen
class Answer:
    """What programs and people are told of one kind of error."""

    status: int
    code: str
    message: str

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may well succeed later."""
        return self.status in _RETRYABLE or self.code in _PASSING


_INTERNAL = Answer(500, "INTERNAL_ERROR", "Internal server error")

# Looked up by the error's own class. Any other GreenroomError is an INTERNAL_ERROR; some only commands raise.
ANSWERS: Mapping[type[GreenroomError], Answer] = {
    NotLoggedIn: Answer(409, "NOT_LOGGED_IN", "Not logged in to TikTok"),
    SessionDeleted: Answer(409, "SESSION_DELETED", "Session was deleted"),
    SessionNotLive: Answer(409, "NOT_LIVE", "Session is not live"),
    SessionEnded: Answer(410, "SESSION_ENDED", "Session has ended"),
    ProfileNotFound: Answer(404, "PROFILE_NOT_FOUND", "Profile not found"),
    ProfileNotReplaced: Answer(409, "PROFILE_NOT_REPLACED", "The profile could not be saved"),
    LoginFileInvalid: Answer(422, "INVALID_LOGIN_FILE", "No login can be taken from this"),
    NotAProfile: Answer(409, "NOT_A_PROFILE", "User data directory is not a Firefox profile"),
    ProfileLocked: Answer(423, "USER_DATA_LOCKED", "User data directory is locked"),
    CreationTimedOut: Answer(504, "SESSION_TIMEOUT", "Session creation timed out"),
    UpstreamUnreachable: Answer(502, "UPSTREAM_UNREACHABLE", "TikTok could not be reached"),
    PageGone: Answer(502, "UPSTREAM_UNREACHABLE", "TikTok could not be reached"),
    CapacityExhausted: Answer(503, "CAPACITY_EXHAUSTED", "All sessions are in use"),
    Overloaded: Answer(503, "OVERLOADED", "Too many sessions are being launched"),
    ResourcesExhausted: Answer(503, "RESOURCES_EXHAUSTED", "Not enough resources for another session"),
    OverBudget: Answer(503, "OVER_BUDGET", "Session is over its budget"),
    ActionFailed: Answer(422, "ACTION_FAILED", "The page could not do this"),
    ActionTimedOut: Answer(504, "ACTION_TIMEOUT", "The page did not do this in time"),
    StaleRef: Answer(409, "STALE_REF", "The ref is not of the page's latest snapshot"),
    AmbiguousTarget: Answer(422, "AMBIGUOUS_TARGET", "The target matches several elements"),
    NavigationFailed: Answer(502, "NAVIGATION_FAILED", "The page could not be loaded"),
    PageCrashed: Answer(409, "PAGE_CRASHED", "The page has crashed"),
    DialogOpen: Answer(409, "DIALOG_OPEN", "The page shows a dialog"),
    NoSuchPage: Answer(404, "PAGE_NOT_FOUND", "No such page in this session"),
    NoSuchFile: Answer(404, "FILE_NOT_FOUND", "No such file in this session"),
    PageTooLarge: Answer(413, "PAGE_TOO_LARGE", "The content is too large"),
    StorageFailed: Answer(503, "STORAGE_FAILED", "The session's files can't be written"),
    InvalidAction: Answer(422, "INVALID_REQUEST", "Invalid request"),
    ControlHeld: Answer(409, "CONTROL_HELD", "Somebody else has control of the session"),
    TooManyWatchers: Answer(429, "TOO_MANY_WATCHERS", "Too many watch this session"),
    TooManyCommands: Answer(429, "TOO_MANY_COMMANDS", "Too many commands wait in this session"),
    TooManyClients: Answer(429, "TOO_MANY_CLIENTS", "Too many clients are attached to this session"),
    TooManyStreams: Answer(429, "TOO_MANY_STREAMS", "Too many streams"),
    TooManyRequests: Answer(429, "TOO_MANY_REQUESTS", "Too many requests"),
    TooManySessions: Answer(429, "TOO_MANY_SESSIONS", "Too many sessions of this token"),
    CleanupIncomplete: Answer(500, "CLEANUP_INCOMPLETE", "Session could not be cleaned up"),
    NotReady: Answer(503, "NOT_READY", "Not ready"),
    SupervisorStopped: Answer(503, "DRAINING", "Greenroom is shutting down"),
    SessionNotFound: Answer(404, "SESSION_NOT_FOUND", "Session not found"),
    InvalidRequest: Answer(422, "INVALID_REQUEST", "Invalid request"),
    Unauthorized: Answer(401, "UNAUTHORIZED", "Authentication required"),
    OriginNotAllowed: Answer(403, "ORIGIN_NOT_ALLOWED", "Origin not allowed"),
    HistoryNotKept: Answer(404, "HISTORY_NOT_KEPT", "No history of ended sessions is kept"),
    HistoryUnavailable: Answer(503, "HISTORY_UNAVAILABLE", "The history of ended sessions can't be read"),
    BundleNotFound: Answer(404, "BUNDLE_NOT_FOUND", "Nothing is kept of this session"),
    NotAllowed: Answer(403, "NOT_ALLOWED", "Not allowed"),
    HostNotAllowed: Answer(403, "HOST_NOT_ALLOWED", "Host not allowed"),
    McpNotInstalled: Answer(501, "MCP_NOT_INSTALLED", "MCP is not installed"),
    UpgradeRequired: Answer(426, "UPGRADE_REQUIRED", "Upgrade required"),
}

# What HTTP itself requires, by the status: from the web framework, or for a request that never reaches it.
HTTP_ANSWERS: Mapping[int, Answer] = {
    answer.status: answer
    for answer in (
        Answer(400, "BAD_REQUEST", "Bad Request"),
        ANSWERS[Unauthorized],
        Answer(404, "NOT_FOUND", "Not Found"),
        Answer(405, "METHOD_NOT_ALLOWED", "Method Not Allowed"),
        Answer(408, "REQUEST_TIMEOUT", "Request Timeout"),
        Answer(413, "REQUEST_ENTITY_TOO_LARGE", "Request Entity Too Large"),
        Answer(414, "REQUEST_URI_TOO_LARGE", "Request URI Too Large"),
        Answer(431, "REQUEST_HEADER_FIELDS_TOO_LARGE", "Request Header Fields Too Large"),
        _INTERNAL,
        Answer(501, "NOT_IMPLEMENTED", "Not Implemented"),
        Answer(503, "SERVICE_UNAVAILABLE", "Service Unavailable"),
        Answer(505, "HTTP_VERSION_NOT_SUPPORTED", "HTTP Version Not Supported"),
    )
}

CATALOGUE: Mapping[str, Answer] = {
    answer.code: answer for answer in (*ANSWERS.values(), *HTTP_ANSWERS.values())
}
"""Every answer that is an error, by its code. Of those that share a code, one: they differ in nothing."""


def code_of(error: GreenroomError) -> str:
    """Return the code by which programs know `error`."""
    return ANSWERS.get(type(error), _INTERNAL).code


CODES: Mapping[str, str] = {kind.__name__: answer.code for kind, answer in ANSWERS.items()}
"""The codes by which programs know errors, by the names of their classes."""


HttpAnswer = tuple[int, dict[str, str], TikTokSessionErrorResponse]


def describe_error(error: GreenroomError, *, login_detection_timeout_s: float) -> HttpAnswer:
    """Return the status, the extra headers and the body of the answer for `error`."""
    answer = ANSWERS.get(type(error), _INTERNAL)
    details = ErrorDetails(
        code=answer.code, details=str(error), phase=error.phase, retryable=answer.is_retryable
    )
    if not isinstance(error, SessionNotFound):  # whose id is only what was asked for
        details.session_id = error.session_id
    if error.has_bundle and error.session_id is not None:
        details.bundle = bundle_path(error.session_id)
    match error:
        case NotLoggedIn(verdict=verdict, hint=hint):
            details = msgspec.structs.replace(
                details,
                method=verdict.method.value,
                retryable=verdict.reason is LoginReason.RATE_LIMITED,
                timeout=whole(login_detection_timeout_s),
                state=verdict.state,
                reason=verdict.reason,
                elapsed_ms=verdict.elapsed_ms,
                hint=hint,
                gate=verdict.gate,
                upstream_status=verdict.status,
            )
        case ActionFailed():
            details = _describe_action(error, details)
        case ProfileLocked(holder=ProfileHolder() as holder):
            details = msgspec.structs.replace(details, holder=holder)
        case SessionEnded(end_reason=reason, receipt=receipt):
            details = msgspec.structs.replace(details, end_reason=reason, receipt=receipt)
    if answer is _INTERNAL:
        details = msgspec.structs.replace(details, id=error.id)
    body = TikTokSessionErrorResponse(message=answer.message, error_details=details)
    return answer.status, _headers_of(error), body


def _headers_of(error: GreenroomError) -> dict[str, str]:
    match error:
        case Unauthorized():
            return {"WWW-Authenticate": "Bearer"}
        case UpgradeRequired():
            return {"Upgrade": "websocket", "Connection": "Upgrade"}
    wait_s = _wait_s(error)
    return {} if wait_s is None else {"Retry-After": str(max(1, math.ceil(wait_s)))}


def _wait_s(error: GreenroomError) -> float | None:
    """Return after how many seconds it is worth asking again, if that is known."""
    match error:
        case NotLoggedIn(verdict=Verdict(reason=LoginReason.RATE_LIMITED, retry_after_s=retry_after_s)):
            return retry_after_s or None
        case (
            ControlHeld(held=Held(until=until))
            | ProfileLocked(holder=ProfileHolder(until=datetime() as until))
        ):
            return (until - datetime.now(UTC)).total_seconds()
        case (
            CapacityExhausted(retry_after_s=retry_after_s)
            | Overloaded(retry_after_s=retry_after_s)
            | TooManyClients(retry_after_s=retry_after_s)
            | TooManyCommands(retry_after_s=retry_after_s)
            | TooManyWatchers(retry_after_s=retry_after_s)
            | TooManyRequests(retry_after_s=retry_after_s)
            | TooManySessions(retry_after_s=retry_after_s)
            | TooManyStreams(retry_after_s=retry_after_s)
        ):
            return retry_after_s
    return None


def _describe_action(error: ActionFailed, details: ErrorDetails) -> ErrorDetails:
    return msgspec.structs.replace(
        details,
        kind=error.kind,
        index=error.index,
        results=error.done,
        explanation=error.told or None,
        matches=error.matches if isinstance(error, AmbiguousTarget) else None,
        snapshot=error.snapshot if isinstance(error, StaleRef) else None,
        held=error.held if isinstance(error, ControlHeld) else None,
    )


def describe_http_error(status: int, why: str) -> tuple[int, TikTokSessionErrorResponse]:
    """Return the status and the body of an answer that HTTP itself requires.

    `why` is for people. A status that nothing here is known to give becomes 400 or 500, so that clients get
    to know no other codes than those of `CATALOGUE`.
    """
    is_ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    answer = HTTP_ANSWERS.get(status) or HTTP_ANSWERS[500 if is_ours else 400]
    details = ErrorDetails(code=answer.code, details=why, retryable=answer.is_retryable)
    return answer.status, TikTokSessionErrorResponse(message=answer.message, error_details=details)


def whole(number: float) -> float | int:
    """Return 8.0 as 8, as people write it."""
    return int(number) if number.is_integer() else number
