"""The contract of every route, over real HTTP, with a fake machine."""

import math
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import trio
from structlog.testing import capture_logs

from greenroom.actors.errors import (
    CloneFailed,
    ProfileLocked,
    ProfileNotReplaced,
    ProfileUnusable,
    ResourcesExhausted,
    UpstreamUnreachable,
)
from greenroom.actors.lifecycle import EndReason, SessionState
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.web.commands.serve import open_daemon
from greenroom.web.http.limits import Limits
from tests.patience import patience
from tests.web.http.front import SESSIONS, SOON_S, Front, error, make_settings, open_client, open_front, until

ESTABLISHED = {"status": "success", "message": "TikTok session established successfully"}
UNKNOWN = f"{SESSIONS}/6f2f0e0e-7a44-4a9e-a7f5-000000000000"
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
SECRET_PATH = "/home/alice/profile"


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """A front on which sessions succeed at once."""
    async with open_front() as opened:
        yield opened


def not_logged_in(state: str, timeout_s: float) -> dict[str, Any]:
    """Return the whole body of a 409, except for the time that it took."""
    is_out = state == "LOGGED_OUT"
    return error(
        "Not logged in to TikTok",
        "NOT_LOGGED_IN",
        "User is not logged in to TikTok",
        method="html_content_analysis",
        timeout=timeout_s,
        state=state,
        reason="login_button" if is_out else "nothing_found",
        hint="The profile's login has expired: run greenroom login"
        if is_out
        else "The page doesn't show who is logged in: open the profile with greenroom login and look at it",
    )


def moment(text: str) -> datetime:
    """Parse an ISO time, which must have a time zone."""
    parsed = datetime.fromisoformat(text)
    assert parsed.utcoffset() == timedelta(0)
    return parsed


# Creating a session: each row of the endpoint's table.


async def test_login_seen_answers_200_and_says_where_the_session_is(front: Front) -> None:
    """The answer for a live session has its id and its path, and no error details."""
    response = await front.create(json={})
    assert (response.status_code, response.json()) == (200, ESTABLISHED)
    assert response.headers["Content-Type"] == "application/json"
    session_id = response.headers["X-Session-Id"]
    assert re.fullmatch(UUID, session_id)
    assert response.headers["Location"] == f"{SESSIONS}/{session_id}"
    assert set(front.machine.browsers) == {session_id}


@pytest.mark.parametrize("page", [LoginState.LOGGED_OUT, LoginState.UNCERTAIN])
async def test_no_login_seen_answers_409(page: LoginState) -> None:
    """A page that shows nobody, or no evidence, is a refusal with the state, the method and the timeout."""
    async with open_front(FakeMachine(page=page)) as front:
        response = await front.create()
    body = response.json()
    assert 0 <= body["error_details"].pop("elapsed_ms") < SOON_S * 1000
    assert (response.status_code, body) == (409, not_logged_in(page.value, 8))
    assert response.headers["Content-Type"] == "application/json"
    assert b'"timeout":8,' in response.content  # an integer, as in the specification
    assert "Location" not in response.headers
    assert "X-Session-Id" not in response.headers


async def test_no_login_seen_shows_the_configured_timeout() -> None:
    """The 409 shows the configured timeout, fractions included."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT)
    async with open_front(machine, login_detection_timeout=4.5) as front:
        response = await front.create()
    body = response.json()
    del body["error_details"]["elapsed_ms"]
    assert (response.status_code, body) == (409, not_logged_in("LOGGED_OUT", 4.5))


async def test_locked_profile_answers_423() -> None:
    """A master profile that is in use is a refusal of its own."""
    async with open_front(FakeMachine(clone_error=ProfileLocked())) as front:
        response = await front.create()
    assert (response.status_code, response.json()) == (
        423,
        error(
            "User data directory is locked",
            "USER_DATA_LOCKED",
            "User data directory is locked by another process",
        ),
    )


async def test_creation_over_its_time_answers_504() -> None:
    """A launch that hangs is cancelled at the deadline. The answer says how long that was."""
    async with open_front(FakeMachine(launch_s=math.inf), session_creation_timeout=0.3) as front:
        started = time.monotonic()
        response = await front.create()
        took = time.monotonic() - started
        assert (front.machine.clones, front.machine.browsers) == (set(), {})
    assert (response.status_code, response.json()) == (
        504,
        error(
            "Session creation timed out",
            "SESSION_TIMEOUT",
            "Session creation timed out after 0.3 seconds",
        ),
    )
    assert 0.3 <= took < 0.3 + SOON_S


async def test_unreachable_page_answers_502() -> None:
    """A page that can't be loaded is the site's failure. The answer says how it failed."""
    details = "TikTok could not be reached: NS_ERROR_UNKNOWN_HOST"
    async with open_front(FakeMachine(navigate_error=UpstreamUnreachable(details))) as front:
        response = await front.create()
    assert (response.status_code, response.json()) == (
        502,
        error("TikTok could not be reached", "UPSTREAM_UNREACHABLE", details),
    )


async def test_no_room_answers_503_and_when_to_retry() -> None:
    """If max_sessions is reached, the answer says in how many seconds the first session ends."""
    async with open_front(max_sessions=1, max_session_duration=120) as front:
        await front.establish()
        response = await front.create()
        assert len(front.machine.browsers) == 1
    assert (response.status_code, response.json()) == (
        503,
        error("All sessions are in use", "CAPACITY_EXHAUSTED", "The session limit (1) is reached"),
    )
    assert 110 <= int(response.headers["Retry-After"]) <= 120


async def test_room_made_by_an_end_is_given_again() -> None:
    """A deleted session no longer counts."""
    async with open_front(max_sessions=1) as front:
        path = await front.establish()
        await front.client.delete(path)
        assert (await front.create()).status_code == 200


@pytest.mark.parametrize(
    ("body", "details"),
    [
        (b'{"a": 1}', "Object contains unknown field `a`"),
        (b'{"status": "success"}', "Object contains unknown field `status`"),
        (b'{"": {}}', "Object contains unknown field ``"),
        (b'{"a":' + b"[" * 30_000, "JSON is nested too deeply"),
        (b"[]", "Expected `object`, got `array`"),
        (b"1", "Expected `object`, got `int`"),
        (b'"text"', "Expected `object`, got `str`"),
        (b"true", "Expected `object`, got `bool`"),
        (b"null", "Expected `object`, got `null`"),
        (b"{", "Input data was truncated"),
        (b"{} {}", "JSON is malformed: trailing characters (byte 4)"),
        (b"a=1", "JSON is malformed: invalid character (byte 0)"),
        (b"\xff", "JSON is malformed: invalid character (byte 0)"),
        (b'{"\xff": 1}', "JSON is malformed: not UTF-8"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_body_not_empty_answers_422_and_starts_nothing(front: Front, body: bytes, details: str) -> None:
    """A body with a field, one that is not an object, or one that is not JSON is refused beforehand."""
    response = await front.create(content=body)
    assert (response.status_code, response.json()) == (
        422,
        error("Invalid request", "INVALID_REQUEST", details),
    )
    assert response.headers["Content-Type"] == "application/json"
    assert front.events == []


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "nonsense"])
@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"{}", b"\n{ }\n"])
async def test_body_empty_creates_whatever_its_content_type(
    front: Front, body: bytes, content_type: str | None
) -> None:
    """No body, blanks and an empty object all ask for a session, with any content type or none."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = await front.create(content=body, headers=headers)
    assert (response.status_code, response.json()) == (200, ESTABLISHED)


@pytest.mark.parametrize(
    ("failure", "details"),
    [
        (RuntimeError(f"boom in {SECRET_PATH}"), "An internal error occurred"),
        (CloneFailed("The clone could not be made", detail=SECRET_PATH), "The clone could not be made"),
        (ProfileUnusable("The profile is unusable", detail=SECRET_PATH), "The profile is unusable"),
    ],
    ids=["unforeseen", "clone", "profile"],
)
async def test_other_failure_answers_500_with_an_id_that_the_log_has(
    failure: Exception, details: str
) -> None:
    """The answer has nothing but an id. Paths and the traceback are only in the log."""
    with capture_logs() as logs:
        async with open_front(FakeMachine(clone_error=failure)) as front:
            response = await front.create()
            await until(lambda: front.events[-1].session.state is SessionState.ENDED)
    body = response.json()
    error_id = body["error_details"].pop("id")
    assert (response.status_code, body) == (500, error("Internal server error", "INTERNAL_ERROR", details))
    assert SECRET_PATH.encode() not in response.content
    assert b"Traceback" not in response.content
    [entry] = [entry for entry in logs if entry.get("error_id") == error_id]
    assert (entry["event"], entry["log_level"]) == ("session ended", "warning")
    assert SECRET_PATH in entry["detail"]
    if isinstance(failure, RuntimeError):
        assert entry["exc_info"] is failure


async def test_failure_of_the_front_itself_answers_500_with_an_id_that_the_log_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A defect outside any session is reported in the same way."""

    async def broken(_supervisor: object) -> None:
        raise RuntimeError(SECRET_PATH)

    monkeypatch.setattr("greenroom.supervisor.api.Supervisor.list_sessions", broken)
    with capture_logs() as logs:
        async with open_front() as front:
            response = await front.client.get(SESSIONS)
    body = response.json()
    error_id = body["error_details"].pop("id")
    assert (response.status_code, body) == (
        500,
        error("Internal server error", "INTERNAL_ERROR", "An internal error occurred"),
    )
    [entry] = [entry for entry in logs if entry["event"] == "request failed"]
    assert (entry["error_id"], entry["path"]) == (error_id, SESSIONS)
    assert isinstance(entry["exc_info"], RuntimeError)


# Refusals by HTTP itself.


async def chunks(count: int) -> AsyncIterator[bytes]:
    """Send spaces without announcing how many."""
    for _ in range(count):
        yield b" " * 1024


@pytest.mark.parametrize("told", [True, False], ids=["length told", "chunked"])
async def test_body_over_the_limit_answers_413_and_starts_nothing(front: Front, told: bool) -> None:
    """A body that is too long is refused, whether or not its length was announced."""
    content = b" " * (Limits().body_bytes + 1) if told else chunks(Limits().body_bytes // 1024 + 1)
    response = await front.create(content=content)
    assert response.status_code == 413
    body = response.json()
    assert body.pop("error_details")["code"] == "REQUEST_ENTITY_TOO_LARGE"
    assert body == {"status": "error", "message": "Request Entity Too Large"}
    assert front.events == []


async def test_body_at_the_limit_creates(front: Front) -> None:
    """The limit itself is allowed."""
    assert (await front.create(content=b" " * Limits().body_bytes)).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
@pytest.mark.parametrize(
    "path", ["/dashboard", "/tiktok", "/tiktok/sessions", f"{UNKNOWN}/more", "/static/x"]
)
async def test_unknown_path_answers_404_in_the_same_shape(front: Front, method: str, path: str) -> None:
    """The answer for an unknown path has the usual body."""
    response = await front.client.request(method, path)
    assert (response.status_code, response.json()) == (
        404,
        error("Not Found", "NOT_FOUND", "There is nothing at this path: /docs shows what there is"),
    )
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", SESSIONS, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("DELETE", SESSIONS, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("POST", UNKNOWN, {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}),
        ("POST", "/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_wrong_method_answers_405_in_the_same_shape(
    front: Front, method: str, path: str, allowed: set[str]
) -> None:
    """The answer for an unsupported method has the usual body, and names the supported ones."""
    response = await front.client.request(method, path)
    assert (response.status_code, response.json()) == (
        405,
        error("Method Not Allowed", "METHOD_NOT_ALLOWED", f"This path takes {', '.join(sorted(allowed))}"),
    )
    assert set(response.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(("path", "status"), [(SESSIONS, 200), (UNKNOWN, 404), ("/none", 404)])
async def test_head_answers_like_get_without_a_body(front: Front, path: str, status: int) -> None:
    """HEAD has GET's status and type, and the connection can be used again."""
    response = await front.client.head(path)
    assert (response.status_code, response.content) == (status, b"")
    assert response.headers["Content-Type"] == "application/json"
    assert (await front.client.get("/health")).status_code == 200


async def test_options_answers_with_the_methods_and_starts_nothing(front: Front) -> None:
    """OPTIONS returns the methods of a path."""
    response = await front.client.options(SESSIONS)
    assert response.status_code == 200
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}
    assert front.events == []


async def test_connection_not_to_be_kept_is_closed_after_the_answer(front: Front) -> None:
    """A client that uses HTTP/1.0, or asks for a close, waits for the end of the connection."""
    host, port = front.url.removeprefix("http://").split(":")
    for request in (
        b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n",
        b"GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ):
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(request)
            with trio.fail_after(SOON_S):
                answer = b"".join([chunk async for chunk in stream])
        assert b"Connection: close" in answer
        assert answer.endswith(b"}")


# Listing sessions and ending them.


async def test_live_session_is_shown_with_its_times(front: Front) -> None:
    """A live session has its login state, its times of creation and expiry, and its phases."""
    before = datetime.now(UTC)
    path = await front.establish()
    response = await front.client.get(path)
    body = response.json()
    session = body.pop("session")
    assert (response.status_code, body) == (
        200,
        {
            "status": "success",
            "message": "Session is live",
            "viewer": None,
            "playwright": f"{front.url.replace('http', 'ws', 1)}{path}/playwright",
        },
    )
    created, expires = moment(session.pop("created_at")), moment(session.pop("expires_at"))
    assert before <= created <= datetime.now(UTC)
    assert timedelta(0) <= expires - created - timedelta(seconds=300) < timedelta(seconds=SOON_S)
    phases = session.pop("phase_ms")
    assert list(phases) == ["cloning", "launching", "navigating", "judging", "live"]
    assert all(isinstance(ms, int) and 0 <= ms < SOON_S * 1000 for ms in phases.values())
    assert session == {
        "id": path.removeprefix(f"{SESSIONS}/"),
        "state": "live",
        "login_state": "LOGGED_IN",
        "login_reason": "viewer_object",
        "login_method": "html_content_analysis",
        "end_reason": None,
        "usage": None,
        "receipt": None,
        "is_requested": True,
        "clients": 0,
        "refused_calls": 0,
        "has_bundle": False,
        "control": None,
        "watchers": [],
        "watched": [],
        "profile": "default",
        "profile_mode": "read",
        "purpose": "session",
    }


async def test_session_being_created_is_shown_with_what_is_known() -> None:
    """A session that is still launching has no expiry, login state or end reason."""
    async with open_front(FakeMachine(launch_s=math.inf)) as front, trio.open_nursery() as nursery:
        nursery.start_soon(front.create)
        await until(lambda: bool(front.machine.browsers))
        [session] = (await front.client.get(SESSIONS)).json()["sessions"]
        nursery.cancel_scope.cancel()
    moment(session.pop("created_at"))
    assert list(session.pop("phase_ms")) == ["cloning", "launching"]
    session.pop("id")
    assert session.pop("state") == "launching"
    assert (session.pop("clients"), session.pop("refused_calls")) == (0, 0)
    assert session.pop("has_bundle") is False
    assert [session.pop(name) for name in ("profile", "profile_mode", "purpose")] == [
        "default",
        "read",
        "session",
    ]
    assert (session.pop("is_requested"), session.pop("watchers"), session.pop("watched")) == (True, [], [])
    unknown = (
        *("expires_at", "login_state", "login_reason", "login_method"),
        *("end_reason", "usage", "receipt", "control"),
    )
    assert session == dict.fromkeys(unknown)


async def test_list_shows_the_sessions_that_have_not_ended_oldest_first(front: Front) -> None:
    """The list grows with each session, in order, and shrinks with its end."""
    empty = await front.client.get(SESSIONS)
    assert (empty.status_code, empty.json()) == (
        200,
        {
            "status": "success",
            "message": "0 sessions",
            "sessions": [],
            "warm": 0,
            "checks": empty.json()["checks"],
        },
    )
    first, second = await front.establish(), await front.establish()
    both = (await front.client.get(SESSIONS)).json()
    assert both["message"] == "2 sessions"
    assert [f"{SESSIONS}/{session['id']}" for session in both["sessions"]] == [first, second]
    await front.client.delete(first)
    one = (await front.client.get(SESSIONS)).json()
    assert one["message"] == "1 session"
    assert [f"{SESSIONS}/{session['id']}" for session in one["sessions"]] == [second]


async def test_delete_answers_204_only_when_browser_and_clone_are_gone() -> None:
    """The answer to DELETE is empty, and comes once a slow browser and clone are gone."""
    async with open_front(FakeMachine(close_s=0.1, remove_s=0.2)) as front:
        path = await front.establish()
        started = time.monotonic()
        response = await front.client.delete(path)
        assert (front.machine.clones, front.machine.browsers) == (set(), {})
        assert time.monotonic() - started >= 0.3
        assert (response.status_code, response.content) == (204, b"")
        session = (await front.client.get(path)).json()["session"]
        assert (session["state"], session["end_reason"]) == ("ended", "deleted")
        assert list(session["phase_ms"]) == [
            "cloning", "launching", "navigating", "judging", "live", "ending",
        ]  # fmt: skip
        assert session["phase_ms"]["ending"] >= 300
        assert session["receipt"] == {
            "reason": "deleted",
            "phase_ms": session["phase_ms"],
            "processes": {"politely": 2, "by_force": 0},
            "bytes_freed": 40 << 20,
            "left": [],
            "held": [],
            "commit": None,
        }


async def test_delete_of_an_ended_session_answers_204_again(front: Front) -> None:
    """You may delete a session twice."""
    path = await front.establish()
    assert [(await front.client.delete(path)).status_code for _ in range(2)] == [204, 204]


async def test_delete_during_creation_answers_the_waiting_client_409() -> None:
    """A client that still waits for the deleted session gets the answer."""
    answers: list[httpx.Response] = []
    async with open_front(FakeMachine(launch_s=math.inf)) as front, trio.open_nursery() as nursery:

        async def create() -> None:
            answers.append(await front.create())

        nursery.start_soon(create)
        await until(lambda: bool(front.machine.browsers))
        [session_id] = front.machine.browsers
        assert (await front.client.delete(f"{SESSIONS}/{session_id}")).status_code == 204
    [answer] = answers
    assert (answer.status_code, answer.json()) == (
        409,
        error(
            "Session was deleted",
            "SESSION_DELETED",
            "The session was deleted while it was being created",
        ),
    )


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("name", ["none", "%00", "%2e%2e", UNKNOWN.rpartition("/")[2]])
async def test_unknown_session_answers_404(front: Front, method: str, name: str) -> None:
    """An unknown id has a different error from an unknown path."""
    response = await front.client.request(method, f"{SESSIONS}/{name}")
    assert (response.status_code, response.json()) == (
        404,
        error("Session not found", "SESSION_NOT_FOUND", "No such session"),
    )


@pytest.mark.parametrize("reason", [EndReason.EXPIRED, EndReason.BROWSER_LOST])
async def test_session_that_ended_by_itself_shows_why(reason: EndReason) -> None:
    """After its end a session still shows its reason, but is no longer listed."""
    duration_s = 0.2 if reason is EndReason.EXPIRED else 300
    async with open_front(max_session_duration=duration_s) as front:
        path = await front.establish()
        if reason is EndReason.BROWSER_LOST:
            next(iter(front.machine.browsers.values())).crash()
        await until(lambda: not front.machine.clones)
        session = (await front.client.get(path)).json()["session"]
        assert (session["state"], session["end_reason"]) == ("ended", reason.value)
        assert (await front.client.get(SESSIONS)).json()["sessions"] == []


# Callers that leave, many callers at once, and the end of the daemon.


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_caller_who_hangs_up_ends_the_creation(reset: bool) -> None:
    """A client that closes its connection while it waits ends its session within a second."""
    async with open_front(FakeMachine(launch_s=math.inf)) as front:
        host, port = front.url.removeprefix("http://").split(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(
            b"POST /tiktok/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        )
        await until(lambda: bool(front.machine.browsers))
        if reset:
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        await stream.aclose()
        took = await until(lambda: front.events[-1].session.state is SessionState.ENDED)
        assert front.events[-1].session.reason is EndReason.CALLER_LEFT
        assert (front.machine.clones, front.machine.browsers) == (set(), {})
        assert took < SOON_S


async def test_ten_creations_at_once_all_answer_200() -> None:
    """Ten clients that ask at once get ten sessions, in the time that one takes."""
    answers: list[httpx.Response] = []
    async with open_front(FakeMachine(launch_s=0.3)) as front:

        async def create() -> None:
            answers.append(await front.create())

        started = time.monotonic()
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(create)
        took = time.monotonic() - started
        assert [answer.status_code for answer in answers] == [200] * 10
        assert {answer.headers["X-Session-Id"] for answer in answers} == set(front.machine.browsers)
        assert took < 0.3 + 2 * SOON_S


async def test_creation_that_hangs_does_not_delay_others() -> None:
    """While one creation hangs, another succeeds and everything else is answered."""
    async with open_front(FakeMachine(launch_s=math.inf)) as front, trio.open_nursery() as nursery:
        nursery.start_soon(front.create)
        await until(lambda: bool(front.machine.browsers))
        front.machine.launch_s = 0
        started = time.monotonic()
        path = await front.establish()
        assert (await front.client.get("/health")).status_code == 200
        assert len((await front.client.get(SESSIONS)).json()["sessions"]) == 2
        assert (await front.client.delete(path)).status_code == 204
        assert time.monotonic() - started < SOON_S
        nursery.cancel_scope.cancel()


async def test_shutdown_during_a_creation_answers_503() -> None:
    """A daemon that stops answers the waiting client first, then ends."""
    machine = FakeMachine(launch_s=math.inf)
    answers: list[httpx.Response] = []
    # The nursery is around the daemon, so the answer comes while the daemon ends.
    async with trio.open_nursery() as nursery, open_daemon(make_settings(), machine=machine) as daemon:

        async def create() -> None:
            async with open_client(daemon.url) as client:
                answers.append(await client.post(SESSIONS))

        nursery.start_soon(create)
        await until(lambda: bool(machine.browsers))
    [answer] = answers
    assert (answer.status_code, answer.json()) == (
        503,
        error("Greenroom is shutting down", "DRAINING", "Greenroom is shutting down"),
    )
    assert (machine.clones, machine.browsers) == (set(), {})


# The rest.


async def test_health_says_ok(front: Front) -> None:
    """It says that the daemon is well, and whether anything that sessions need is missing."""
    response = await front.client.get("/health")
    assert (response.status_code, response.json()["status"]) == (200, "ok")
    assert set(response.json()["checks"]) == {"profile", "clones", "site", "login"}
    assert response.headers["Content-Type"] == "application/json"


async def test_problem_is_shown_by_health_and_the_list() -> None:
    """The daemon is well but its site is not. You can see that without asking for a session."""
    problem = {"health": "problem", "problem": "The site can't be reached"}
    machine = FakeMachine(site_error=UpstreamUnreachable("The site can't be reached", detail="Errno 111"))
    async with open_front(machine) as front:
        for path in ("/health", SESSIONS):
            with trio.fail_after(patience(10)):
                while (answer := await front.client.get(path)).json()["checks"]["site"][
                    "health"
                ] == "unknown":
                    await trio.sleep(0.01)
            assert answer.status_code == 200
            shown = answer.json()["checks"]
            assert shown["site"] == problem | {"since": shown["site"]["since"]}
            assert shown["profile"]["problem"] is None


async def test_delete_that_leaves_something_answers_500_and_says_what() -> None:
    """A 204 would mean that everything is gone."""
    machine = FakeMachine(remove_error=CloneFailed("It can't be removed", detail="EBUSY"), keeps_clones=True)
    async with open_front(machine) as front:
        path = await front.establish()
        for _ in range(2):
            answer = await front.client.delete(path)
            assert (answer.status_code, answer.json()["message"]) == (500, "Session could not be cleaned up")
            assert answer.json()["error_details"]["code"] == "CLEANUP_INCOMPLETE"
            assert "clone" in answer.json()["error_details"]["details"]
        session = (await front.client.get(path)).json()["session"]
        assert session["receipt"]["left"] == ["clone", "ledger entry"]
        machine.clones.clear()


async def test_leaks_shows_what_is_owned_and_what_belongs_to_no_session(front: Front) -> None:
    """A session's things are listed under its id. A clone without a session is a leak."""
    path = await front.establish()
    session_id = path.removeprefix(f"{SESSIONS}/")
    nothing: dict[str, Any] = {"processes": [], "directories": [], "entries": [], "bytes": 0}
    clone = {"name": session_id, "session": session_id, "bytes": 40 << 20}
    body = (await front.client.get("/leaks")).json()
    assert [process["session"] for process in body["owned"].pop("processes")] == [session_id] * 2
    assert body == {
        "status": "success",
        "message": "Nothing is leaked",
        "owned": {"directories": [clone], "entries": [session_id], "bytes": 40 << 20},
        "leaked": nothing,
    }
    front.machine.clones.add("forgotten")
    body = (await front.client.get("/leaks")).json()
    front.machine.clones.remove("forgotten")
    assert body["message"] == "Something belongs to no session"
    assert body["leaked"]["directories"] == [clone | {"name": "forgotten", "session": "forgotten"}]


async def test_machine_without_room_refuses_and_names_what_is_scarce() -> None:
    """The refusal for scarce resources is a 503 of its own."""
    lacking = ResourcesExhausted("There is too little memory for one more session")
    async with open_front(FakeMachine(clone_error=lacking)) as front:
        response = await front.create()
    assert (response.status_code, response.json()) == (
        503,
        error("Not enough resources for another session", "RESOURCES_EXHAUSTED", str(lacking)),
    )


async def test_openapi_lists_every_route(front: Front) -> None:
    """The description for programs has all paths, their methods, and the statuses of creating a session."""
    described = (await front.client.get("/openapi.json")).json()
    paths = {path: set(methods) for path, methods in described["paths"].items()}
    assert paths["/tiktok/session"] == {"get", "post"}
    assert paths["/tiktok/session/{session_id}"] == {"get", "patch", "delete"}
    assert paths["/tiktok/session/{session_id}/actions"] == {"post"}
    assert {"/health", "/leaks"} <= paths.keys()
    statuses = set(described["paths"]["/tiktok/session"]["post"]["responses"])
    assert {"200", "409", "422", "423", "502", "503", "504"} <= statuses


async def test_configured_url_is_what_the_browser_opens() -> None:
    """Sessions open the configured page."""
    async with open_front(tiktok_url="https://example.test/feed") as front:
        await front.establish()
        [browser] = front.machine.browsers.values()
        assert browser.urls == ["https://example.test/feed"]


# Sessions that write the profile


async def test_session_that_writes_the_profile_says_what_came_of_it() -> None:
    """By a header, since the body stays empty. A retry with the same key is the same session."""
    async with open_front() as front:
        headers = {"X-Profile-Mode": "write", "Idempotency-Key": "k"}
        first = await front.create(headers=headers)
        path = first.headers["Location"]
        assert (await front.client.get(path)).json()["session"]["profile_mode"] == "write"
        assert (await front.create(headers=headers)).headers["Location"] == path
        other = await front.create(headers={"Idempotency-Key": "k"})  # a key is for one mode
        assert other.headers["Location"] != path
        await front.client.delete(path)
        receipt = (await front.client.get(path)).json()["session"]["receipt"]
        assert receipt["commit"] == {"generation": 1, "problem": None}
        assert len(front.machine.committed) == 1


async def test_session_is_of_the_profile_that_is_named() -> None:
    """An Idempotency-Key is bound to it."""
    async with open_front() as front:
        first = await front.create(headers={"X-Profile": "shop", "Idempotency-Key": "k"})
        path = first.headers["Location"]
        assert (await front.client.get(path)).json()["session"]["profile"] == "shop"
        again = await front.create(headers={"X-Profile": "shop", "Idempotency-Key": "k"})
        other = await front.create(headers={"Idempotency-Key": "k"})
        assert (again.headers["Location"] == path, other.headers["Location"] == path) == (True, False)
        names = [use.name for use in front.machine.uses.values()]
        assert names == ["shop", "default"]


async def test_unknown_profile_is_not_found() -> None:
    """What can't be a name at all is refused before anything is looked up."""
    async with open_front(FakeMachine(missing=frozenset({"shop"}))) as front:
        answer = await front.create(headers={"X-Profile": "shop"})
        details = answer.json()["error_details"]
        assert (answer.status_code, details["code"]) == (404, "PROFILE_NOT_FOUND")
        assert details["details"] == "There is no profile 'shop': `greenroom login shop` makes one"
        for name in ("../etc", "", "a.generations"):
            answer = await front.create(headers={"X-Profile": name})
            assert answer.status_code == 422
            assert answer.json()["error_details"]["details"].startswith("X-Profile: A profile's name has")
        assert front.machine.uses == {}


@pytest.mark.parametrize("mode", ["both", "", "write, read"])
async def test_unknown_mode_is_refused_and_makes_nothing(mode: str) -> None:
    """The text says what there is."""
    async with open_front() as front:
        answer = await front.create(headers={"X-Profile-Mode": mode})
        assert (answer.status_code, answer.json()["error_details"]["details"]) == (
            422,
            "X-Profile-Mode must be read or write",
        )
        assert front.machine.uses == {}


async def test_session_whose_profile_can_not_be_committed_has_ended_all_the_same() -> None:
    """The receipt says why, and the log has a line for the operator."""
    machine = FakeMachine(commit_error=ProfileNotReplaced("The disk is full", detail="/a/path"))
    async with open_front(machine) as front:
        path = (await front.create(headers={"X-Profile-Mode": "WRITE"})).headers["Location"]
        with capture_logs() as logs:
            assert (await front.client.delete(path)).status_code == 204
        receipt = (await front.client.get(path)).json()["session"]["receipt"]
        assert receipt["commit"] == {"generation": None, "problem": "The disk is full"}
        [entry] = [entry for entry in logs if entry["log_level"] == "error"]
        assert (entry["event"], entry["detail"]) == ("the profile was not committed", "/a/path")


async def test_list_counts_warm_sessions_that_are_ready() -> None:
    """One that still launches serves nobody yet."""
    async with open_front(FakeMachine(launch_s=math.inf), warm_sessions=1) as front:
        await until(lambda: bool(front.machine.browsers))
        assert len(front.supervisor.overview().warm) == 1
        assert (await front.client.get(SESSIONS)).json()["warm"] == 0
    async with open_front(warm_sessions=1) as front:
        await until(lambda: [one.state.value for one in front.supervisor.overview().warm] == ["warm"])
        assert (await front.client.get(SESSIONS)).json()["warm"] == 1
