"""Requests and answers: ids on both, one log line per refusal, and nothing for callers who are gone."""

import contextlib
import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, memory_stream_pair

from greenroom import open_supervisor
from greenroom.actors.errors import CreationTimedOut, GreenroomError, ProfileLocked, SupervisorStopped
from greenroom.actors.events import SessionEvent
from greenroom.actors.lifecycle import SessionState
from greenroom.actors.testing import FakeMachine
from greenroom.web.http.app import create_app
from greenroom.web.http.connections import Connection
from greenroom.web.http.limits import Limits
from greenroom.web.metrics.metrics import Metrics
from tests.web.http.front import ALL, SESSIONS, Front, make_settings, open_front

TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
UNKNOWN = f"{SESSIONS}/none"
POST = b"POST /tiktok/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """A front that requires a token."""
    async with open_front(token=TOKEN) as opened:
        yield opened


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "level"),
    [
        ("GET", SESSIONS, {}, 401, "info"),
        ("POST", SESSIONS, BEARER | {"Origin": "https://evil.example"}, 403, "info"),
        ("GET", SESSIONS, BEARER | {"Host": "evil.example"}, 403, "info"),
        ("GET", UNKNOWN, BEARER, 404, "info"),
        ("GET", "/nothing", BEARER, 404, "info"),
        ("GET", "/tiktok//session", BEARER, 404, "info"),
        ("PUT", SESSIONS, BEARER, 405, "info"),
        ("POST", SESSIONS, BEARER, 413, "info"),
        ("POST", SESSIONS, BEARER | {"Idempotency-Key": "a b"}, 422, "info"),
        ("GET", "/health", {"Upgrade": "websocket"}, 400, "info"),
        ("GET", "/health", {"X": "y" * 100_000}, 431, "info"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_refusal_has_an_id_and_one_line_in_the_log(
    front: Front, method: str, path: str, headers: dict[str, str], status: int, level: str
) -> None:
    """The header, the body and the log line have the same id."""
    content = b" " * 70_000 if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE else b""
    with capture_logs() as logs:
        response = await front.client.request(method, path, headers=headers, content=content)
    details = response.json()["error_details"]
    [entry] = [entry for entry in logs if entry["event"] == "request refused"]
    assert response.status_code == entry["status"] == status
    assert entry["log_level"] == level
    assert details["request_id"] == response.headers["X-Request-Id"] == entry["request_id"]
    assert TOKEN not in str(logs)


async def test_every_answer_has_an_id_of_its_own(front: Front) -> None:
    """Every answer has an id, whether a refusal or not, and no two are equal."""
    created = await front.create(headers=BEARER)
    deleted = await front.client.delete(created.headers["Location"], headers=BEARER)
    asked = await front.client.options(SESSIONS)
    assert [created.status_code, deleted.status_code, asked.status_code] == [200, 204, 200]
    assert len({answer.headers["X-Request-Id"] for answer in (created, deleted, asked)}) == 3


@pytest.mark.parametrize("given", ["a", "6f2f0e0e-7a44-4a9e-a7f5-000000000000", "span:1.2_x", "x" * 64])
async def test_id_of_the_client_is_used(front: Front, given: str) -> None:
    """Clients that number their requests find their own numbers in the answers."""
    response = await front.client.get(UNKNOWN, headers={"X-Request-Id": given})
    assert response.headers["X-Request-Id"] == response.json()["error_details"]["request_id"] == given


@pytest.mark.parametrize("given", [["x" * 65], ["a b"], ["\x1b[2J"], ["é"], [""], ["a", "b"]])
async def test_invalid_id_of_the_client_is_replaced(front: Front, given: list[str]) -> None:
    """Clients can't write what they like into the log."""
    headers = [(b"X-Request-Id", value.encode("latin-1")) for value in given]
    response = await front.client.get(UNKNOWN, headers=headers)
    assert response.headers["X-Request-Id"].isalnum()
    assert len(response.headers["X-Request-Id"]) == 12


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (ProfileLocked(), 423),
        (CreationTimedOut(3), 504),
        (SupervisorStopped(), 503),
        (GreenroomError("a"), 500),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_refusal_names_the_session_and_its_phase(failure: GreenroomError, status: int) -> None:
    """If a session had been started, the answer and the log line name it and its phase."""
    failure.session_id, failure.phase = "some-session", "launching"
    with capture_logs() as logs:
        async with open_front(FakeMachine(clone_error=failure)) as front:
            response = await front.create()
    details = response.json()["error_details"]
    assert response.status_code == status
    [entry] = [entry for entry in logs if entry["event"] == "request refused"]
    for told in (details, entry):
        assert told["session_id"]
        assert told["phase"]
    assert entry["log_level"] == ("warning" if status >= 500 else "info")


async def test_refusal_line_is_short_and_without_control_characters(front: Front) -> None:
    """Text from a client can neither flood the log nor move a terminal's cursor."""
    with capture_logs() as logs:
        await front.client.request("X" * 5000, "/%1b" + "a" * 5000, headers=BEARER)
        await front.create(content=b'{"' + b"y" * 50_000 + b'": 1}', headers=BEARER)
    assert len(str(logs)) < 2000
    assert "\x1b" not in str(logs)


@pytest.mark.parametrize("keys", [["a", "b"], ["a", "a"], ["", "a"]])
async def test_two_idempotency_keys_are_refused(front: Front, keys: list[str]) -> None:
    """It is not clear which of them is meant."""
    headers = [*BEARER.items(), *(("Idempotency-Key", key) for key in keys)]
    response = await front.client.post(SESSIONS, headers=headers)
    assert (response.status_code, front.events) == (422, [])
    assert response.json()["error_details"]["details"] == "There is more than one Idempotency-Key"


async def test_repeated_refusal_under_a_key_has_an_id_of_its_own() -> None:
    """The outcome, even a refusal, is kept for 15 minutes. Each request still gets its own id."""
    machine = FakeMachine(clone_error=ProfileLocked())
    async with open_front(machine) as front:
        first = await front.create(headers={"Idempotency-Key": "k"})
        machine.clone_error = None
        second = await front.create(headers={"Idempotency-Key": "k"})
        other = await front.create(headers={"Idempotency-Key": "l"})
    assert [first.status_code, second.status_code, other.status_code] == [423, 423, 200]
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]


# Callers who are gone


@pytest.mark.parametrize("half", [False, True], ids=["gone", "half-closed"])
@pytest.mark.parametrize("warm", [0, 1])
async def test_caller_gone_when_its_session_is_live_leaves_no_session(
    autojump_clock: MockClock, half: bool, warm: int
) -> None:
    """A session that no caller can learn of must not live on."""
    machine = FakeMachine(launch_s=2)
    sessions = await create_and_leave(machine, POST + b"\r\n", half=half, warm=warm)
    assert sessions == []


async def test_caller_gone_with_a_key_finds_its_session(autojump_clock: MockClock) -> None:
    """A key means that the caller may ask again, so the session is kept."""
    sessions = await create_and_leave(
        FakeMachine(launch_s=2), POST + b"Idempotency-Key: k\r\n\r\n", half=False
    )
    assert len(sessions) == 1


async def test_caller_who_closes_on_seeing_its_answer_keeps_its_session(autojump_clock: MockClock) -> None:
    """The caller has been told, even if it leaves before the answer's writer runs again."""
    settings = make_settings()
    async with open_supervisor(settings, machine=FakeMachine()) as supervisor:
        client, server = memory_stream_pair()

        async def leave_before_the_writer_goes_on() -> None:
            client.send_stream.close()
            for _ in range(3):
                await trio.lowlevel.cancel_shielded_checkpoint()

        server.send_stream.send_all_hook = leave_before_the_writer_goes_on
        await client.send_all(POST + b"\r\n")
        await Connection(
            app=create_app(supervisor, settings, ALL, Metrics(supervisor)), stream=server, limits=Limits()
        ).run()
        await trio.sleep(10)
        assert len(await supervisor.list_sessions()) == 1


@pytest.mark.parametrize("warm", [0, 1])
async def test_caller_who_leaves_at_any_step_has_its_answer_or_leaves_no_session(
    autojump_clock: MockClock, warm: int
) -> None:
    """At no step of the scheduler in between can a session lose its owner."""
    settings = make_settings(warm_sessions=warm)
    leaving = Leaving()
    while not leaving.is_too_late:
        async with open_supervisor(settings, machine=FakeMachine(launch_s=1)) as supervisor:
            await trio.sleep(5)
            client, server = memory_stream_pair()
            answers: list[float] = []
            server.send_stream.send_all_hook = functools.partial(note_answer, answers)
            await client.send_all(POST + b"\r\n")
            with leaving.at_next_step(client), capture_logs() as logs, trio.move_on_after(30):
                await Connection(
                    app=create_app(supervisor, settings, ALL, Metrics(supervisor)),
                    stream=server,
                    limits=Limits(),
                ).run()
            assert [entry for entry in logs if entry["log_level"] in {"warning", "error"}] == []
            await trio.sleep(10)
            assert len(await supervisor.list_sessions()) == len(answers)
            await client.aclose()
    assert leaving.step > 30


class Leaving(trio.abc.Instrument):
    """A client that leaves at a certain step of the scheduler, one step later each time."""

    def __init__(self) -> None:
        self.step = 0
        self.is_too_late = False

    @contextlib.contextmanager
    def at_next_step(self, client: trio.StapledStream[Any, Any]) -> Iterator[None]:
        """Make `client` leave within the block, one step later than the previous one."""
        self.client, self.steps_left = client, self.step
        self.step += 1
        trio.lowlevel.add_instrument(self)
        yield
        trio.lowlevel.remove_instrument(self)
        self.is_too_late = self.steps_left >= 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        """Count the steps down."""
        if self.steps_left == 0:
            self.client.send_stream.close()
            self.client.receive_stream.close()
        self.steps_left -= 1


async def note_answer(answers: list[float]) -> None:
    """Note that the server has sent something."""
    answers.append(trio.current_time())


async def create_and_leave(machine: FakeMachine, request: bytes, *, half: bool, warm: int = 0) -> list[Any]:
    """Ask for a session, leave at the very moment it is live, and return what is left then."""
    settings = make_settings(warm_sessions=warm)
    async with open_supervisor(settings, machine=machine) as supervisor:
        await trio.sleep(5)
        client, server = memory_stream_pair()

        def leave_when_live(event: SessionEvent) -> None:
            if event.session.state is SessionState.LIVE:
                client.send_stream.close()
                if not half:
                    client.receive_stream.close()

        app = create_app(supervisor, settings, ALL, Metrics(supervisor))
        with capture_logs() as logs, supervisor.events.subscribed(leave_when_live):
            await client.send_all(request)
            await Connection(app=app, stream=server, limits=Limits()).run()
        assert [entry for entry in logs if entry["log_level"] in {"warning", "error"}] == []
        await client.aclose()
        await trio.sleep(10)
        return await supervisor.list_sessions()
