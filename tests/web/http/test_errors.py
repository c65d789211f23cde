"""The map from errors to answers is complete, and agrees with the specification's table."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import attrs
import msgspec
import pytest
from werkzeug.exceptions import default_exceptions

from greenroom.actors.browser.cells.ending import NotEnded
from greenroom.actors.errors import (
    ActionFailed,
    ActionTimedOut,
    AmbiguousTarget,
    BrowserLost,
    CapacityExhausted,
    CleanupIncomplete,
    CloneFailed,
    ControlHeld,
    CreationTimedOut,
    DialogOpen,
    EngineUnavailable,
    GreenroomError,
    HistoryNotKept,
    HistoryUnavailable,
    InternalFailure,
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
    ProfileExists,
    ProfileLocked,
    ProfileNotFound,
    ProfileNotReplaced,
    ProfileUnusable,
    ResourcesExhausted,
    SandboxUnavailable,
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
from greenroom.actors.lifecycle import Held, ProfileHolder, SessionInfo, SessionState
from greenroom.actors.verdict import Gate, LoginReason, LoginState, Method, Verdict
from greenroom.web.http.errors import (
    CATALOGUE,
    HTTP_ANSWERS,
    BundleNotFound,
    HostNotAllowed,
    InvalidRequest,
    McpNotInstalled,
    NotAllowed,
    OriginNotAllowed,
    TooManyRequests,
    TooManyStreams,
    Unauthorized,
    UpgradeRequired,
    describe_error,
    describe_http_error,
    whole,
)
from greenroom.web.http.schemas import ErrorDetails, TikTokSessionErrorResponse

DETAIL = "/home/alice/profile: No space left on device"
INTERNAL = (500, "INTERNAL_ERROR", "Internal server error")
VERDICT = Verdict(
    state=LoginState.UNCERTAIN, reason=LoginReason.CHALLENGE, method=Method.HTML, elapsed_ms=120
)
WARM = SessionInfo(
    id="some-id",
    state=SessionState.WARM,
    created_at=datetime.now(UTC),
    expires_at=None,
    verdict=None,
    phase_ms={},
    reason=None,
)

# Every error, made as the code makes it, with its answer.
TABLE: list[tuple[GreenroomError, tuple[int, str, str]]] = [
    (Overloaded(retry_after_s=3), (503, "OVERLOADED", "Too many sessions are being launched")),
    (NotLoggedIn(VERDICT, hint="log in"), (409, "NOT_LOGGED_IN", "Not logged in to TikTok")),
    (SessionDeleted("deleted"), (409, "SESSION_DELETED", "Session was deleted")),
    (SessionNotLive(WARM), (409, "NOT_LIVE", "Session is not live")),
    (SessionEnded(WARM), (410, "SESSION_ENDED", "Session has ended")),
    (NotAProfile("a cat"), (409, "NOT_A_PROFILE", "User data directory is not a Firefox profile")),
    (ProfileLocked(), (423, "USER_DATA_LOCKED", "User data directory is locked")),
    (CreationTimedOut(30.0), (504, "SESSION_TIMEOUT", "Session creation timed out")),
    (UpstreamUnreachable("refused"), (502, "UPSTREAM_UNREACHABLE", "TikTok could not be reached")),
    (PageGone("closed"), (502, "UPSTREAM_UNREACHABLE", "TikTok could not be reached")),
    (
        ResourcesExhausted("no memory"),
        (503, "RESOURCES_EXHAUSTED", "Not enough resources for another session"),
    ),
    (NotReady("logged out"), (503, "NOT_READY", "Not ready")),
    (OverBudget("too much"), (503, "OVER_BUDGET", "Session is over its budget")),
    (CapacityExhausted(4, retry_after_s=1), (503, "CAPACITY_EXHAUSTED", "All sessions are in use")),
    (ActionFailed("no", detail=DETAIL), (422, "ACTION_FAILED", "The page could not do this")),
    (StaleRef("stale"), (409, "STALE_REF", "The ref is not of the page's latest snapshot")),
    (AmbiguousTarget("two"), (422, "AMBIGUOUS_TARGET", "The target matches several elements")),
    (NavigationFailed("reset"), (502, "NAVIGATION_FAILED", "The page could not be loaded")),
    (PageCrashed("crashed"), (409, "PAGE_CRASHED", "The page has crashed")),
    (DialogOpen("alert"), (409, "DIALOG_OPEN", "The page shows a dialog")),
    (NoSuchPage("p9"), (404, "PAGE_NOT_FOUND", "No such page in this session")),
    (NoSuchFile("a"), (404, "FILE_NOT_FOUND", "No such file in this session")),
    (StorageFailed("full"), (503, "STORAGE_FAILED", "The session's files can't be written")),
    (InvalidAction("field"), (422, "INVALID_REQUEST", "Invalid request")),
    (TooManyClients(8), (429, "TOO_MANY_CLIENTS", "Too many clients are attached to this session")),
    (ControlHeld("held"), (409, "CONTROL_HELD", "Somebody else has control of the session")),
    (HistoryNotKept(), (404, "HISTORY_NOT_KEPT", "No history of ended sessions is kept")),
    (
        HistoryUnavailable("why"),
        (503, "HISTORY_UNAVAILABLE", "The history of ended sessions can't be read"),
    ),
    (BundleNotFound("none"), (404, "BUNDLE_NOT_FOUND", "Nothing is kept of this session")),
    (NotAllowed("link"), (403, "NOT_ALLOWED", "Not allowed")),
    (TooManyWatchers(50), (429, "TOO_MANY_WATCHERS", "Too many watch this session")),
    (McpNotInstalled(), (501, "MCP_NOT_INSTALLED", "MCP is not installed")),
    (TooManyStreams(20), (429, "TOO_MANY_STREAMS", "Too many streams")),
    (
        TooManyRequests("requests", retry_after_s=1),
        (429, "TOO_MANY_REQUESTS", "Too many requests"),
    ),
    (
        TooManySessions("worker", 2, retry_after_s=1),
        (429, "TOO_MANY_SESSIONS", "Too many sessions of this token"),
    ),
    (TooManyCommands(16), (429, "TOO_MANY_COMMANDS", "Too many commands wait in this session")),
    (ActionTimedOut("hangs"), (504, "ACTION_TIMEOUT", "The page did not do this in time")),
    (PageTooLarge("too large"), (413, "PAGE_TOO_LARGE", "The content is too large")),
    (CleanupIncomplete(("clone",)), (500, "CLEANUP_INCOMPLETE", "Session could not be cleaned up")),
    (SupervisorStopped(), (503, "DRAINING", "Greenroom is shutting down")),
    (SessionNotFound("some-id"), (404, "SESSION_NOT_FOUND", "Session not found")),
    (InvalidRequest("field"), (422, "INVALID_REQUEST", "Invalid request")),
    (Unauthorized("token"), (401, "UNAUTHORIZED", "Authentication required")),
    (OriginNotAllowed("origin"), (403, "ORIGIN_NOT_ALLOWED", "Origin not allowed")),
    (HostNotAllowed("host"), (403, "HOST_NOT_ALLOWED", "Host not allowed")),
    (UpgradeRequired("watch"), (426, "UPGRADE_REQUIRED", "Upgrade required")),
    (LoginFileInvalid("line 3"), (422, "INVALID_LOGIN_FILE", "No login can be taken from this")),
    (ProfileNotFound("shop"), (404, "PROFILE_NOT_FOUND", "Profile not found")),
    (ProfileExists("shop"), INTERNAL),  # only commands raise it
    (ProfileUnusable("unusable", detail=DETAIL), INTERNAL),
    (
        ProfileNotReplaced("not replaced", detail=DETAIL),
        (409, "PROFILE_NOT_REPLACED", "The profile could not be saved"),
    ),
    (CloneFailed("no clone", detail=DETAIL), INTERNAL),
    (EngineUnavailable("no engine", detail=DETAIL), INTERNAL),
    (SandboxUnavailable("no sandbox", detail=DETAIL), INTERNAL),
    (BrowserLost("lost", detail=DETAIL), INTERNAL),
    (NotEnded("cell", [1]), INTERNAL),
    (InternalFailure(OSError(DETAIL)), INTERNAL),
    (GreenroomError("something", detail=DETAIL), INTERNAL),
]


def descendants(cls: type[GreenroomError]) -> Iterator[type[GreenroomError]]:
    """Yield all public errors below a class that the project defines."""
    for child in cls.__subclasses__():
        if not child.__module__.startswith("tests.") and not child.__name__.startswith("_"):
            yield child
        yield from descendants(child)


def test_every_error_is_in_the_table() -> None:
    """If you add an error, decide here what clients learn of it."""
    assert set(descendants(GreenroomError)) | {GreenroomError} == {type(error) for error, _answer in TABLE}


@pytest.mark.parametrize(("error", "answer"), TABLE, ids=lambda value: type(value).__name__)
def test_error_gives_its_answer(error: GreenroomError, answer: tuple[int, str, str]) -> None:
    """Each error has its status, code and message, and a body of the usual shape without the log's detail."""
    status, headers, body = describe_error(error, login_detection_timeout_s=8.0)
    assert (status, body.error_details.code, body.message) == answer
    encoded = msgspec.json.encode(body)
    assert msgspec.json.decode(encoded, type=TikTokSessionErrorResponse) == body
    assert DETAIL.encode() not in encoded
    assert body.error_details.details == str(error)
    assert body.error_details.id == (error.id if answer is INTERNAL else None)
    assert all(headers.values())


def test_unknown_subclass_of_an_error_is_internal() -> None:
    """A client learns only the id of an error that is not in the map."""

    class Novel(ProfileLocked):
        """An error that is not in the map."""

    status, _headers, body = describe_error(Novel(), login_detection_timeout_s=8.0)
    assert (status, body.error_details.code) == (500, "INTERNAL_ERROR")


@pytest.mark.parametrize(
    ("timeout_s", "details"),
    [
        (30.0, "Session creation timed out after 30 seconds"),
        (4.5, "Session creation timed out after 4.5 seconds"),
    ],
)
def test_timeout_shows_the_configured_number(timeout_s: float, details: str) -> None:
    """A whole number of seconds is written without a decimal point."""
    _status, _headers, body = describe_error(CreationTimedOut(timeout_s), login_detection_timeout_s=8.0)
    assert body.error_details.details == details


@pytest.mark.parametrize(
    ("seconds", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.1, "2"), (299.5, "300")]
)
def test_retry_after_is_whole_seconds_and_never_zero(seconds: float, header: str) -> None:
    """The header takes whole seconds. Rounding up means that there is room when the client comes back."""
    error = CapacityExhausted(1, retry_after_s=seconds)
    _status, headers, _body = describe_error(error, login_detection_timeout_s=8.0)
    assert headers == {"Retry-After": header}


def test_held_control_says_when_to_come_back() -> None:
    """When the person's time is over. Programs' control has no end."""
    until = datetime.now(UTC) + timedelta(seconds=99.5)
    error = ControlHeld("held", held=Held(by="Ada", since=datetime.now(UTC), until=until))
    headers = describe_error(error, login_detection_timeout_s=8.0)[1]
    assert 90 < int(headers["Retry-After"]) <= 100
    assert describe_error(ControlHeld("held"), login_detection_timeout_s=8.0)[1] == {}


def test_locked_profile_says_who_has_it_and_until_when() -> None:
    """What is known of it; the time is also when to come back."""
    until = datetime.now(UTC) + timedelta(seconds=99.5)
    holder = ProfileHolder(program="greenroom login", pid=7, until=until)
    _status, headers, body = describe_error(ProfileLocked(holder=holder), login_detection_timeout_s=8.0)
    assert body.error_details.holder == holder
    assert 90 < int(headers["Retry-After"]) <= 100
    browser = ProfileLocked(holder=ProfileHolder(program="firefox", pid=8))
    assert describe_error(browser, login_detection_timeout_s=8.0)[1] == {}


def test_other_answers_have_no_optional_fields() -> None:
    """Fields of one kind of refusal don't appear, as null, in another."""
    _status, headers, body = describe_error(ProfileLocked(), login_detection_timeout_s=8.0)
    assert headers == {}
    assert msgspec.json.decode(msgspec.json.encode(body))["error_details"].keys() == {
        "code",
        "details",
        "retryable",
    }


@pytest.mark.parametrize("status", sorted(default_exceptions))
def test_http_error_has_the_same_shape(status: int) -> None:
    """Whatever status the web framework produces, clients get a code that is known."""
    answered, body = describe_http_error(status, "why")
    details = body.error_details
    assert (body.status, details.details) == ("error", "why")
    assert CATALOGUE[details.code] == HTTP_ANSWERS[answered]
    assert answered == status or status not in HTTP_ANSWERS
    assert answered // 100 == status // 100
    assert details.retryable == (answered in {408, 503})


@pytest.mark.parametrize(("number", "shown"), [(8.0, "8"), (4.5, "4.5"), (0.1, "0.1"), (1e3, "1000")])
def test_whole_drops_only_a_fraction_of_nothing(number: float, shown: str) -> None:
    """Numbers look as they were configured."""
    assert str(whole(number)) == shown
    assert math.isclose(whole(number), number)


def test_refusal_by_the_site_is_reported_with_its_status() -> None:
    """A client learns what TikTok answered, which gate is in the way, and when to come back."""
    limited = attrs.evolve(VERDICT, reason=LoginReason.RATE_LIMITED, status=429, retry_after_s=17)
    _, headers, body = describe_error(NotLoggedIn(limited), login_detection_timeout_s=8.0)
    assert (headers, body.error_details.retryable) == ({"Retry-After": "17"}, True)
    assert (body.error_details.upstream_status, body.error_details.gate) == (429, None)
    assert "17 seconds" in (body.error_details.hint or "")
    gated = attrs.evolve(VERDICT, reason=LoginReason.ACCOUNT_RESTRICTED, gate=Gate.CONSENT)
    _, headers, body = describe_error(NotLoggedIn(gated), login_detection_timeout_s=8.0)
    assert (headers, body.error_details.gate, body.error_details.retryable) == ({}, Gate.CONSENT, False)
    assert "allow_restricted" in (body.error_details.hint or "")


def test_only_what_may_pass_by_itself_is_retryable() -> None:
    """A client that sends the same request again later may then succeed."""
    retryable = {code for error, (_, code, _) in TABLE if _describe(error).retryable}
    assert retryable == {
        "NOT_READY",
        "ACTION_TIMEOUT",
        "CAPACITY_EXHAUSTED",
        "CONTROL_HELD",
        "DRAINING",
        "HISTORY_UNAVAILABLE",
        "NAVIGATION_FAILED",
        "NOT_LIVE",
        "OVER_BUDGET",
        "OVERLOADED",
        "RESOURCES_EXHAUSTED",
        "SESSION_TIMEOUT",
        "STORAGE_FAILED",
        "TOO_MANY_CLIENTS",
        "TOO_MANY_WATCHERS",
        "TOO_MANY_COMMANDS",
        "TOO_MANY_REQUESTS",
        "TOO_MANY_SESSIONS",
        "TOO_MANY_STREAMS",
        "UPSTREAM_UNREACHABLE",
        "USER_DATA_LOCKED",
    }


def _describe(error: GreenroomError) -> ErrorDetails:
    return describe_error(error, login_detection_timeout_s=8.0)[2].error_details
