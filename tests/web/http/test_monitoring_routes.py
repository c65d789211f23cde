"""The daemon's own state over real HTTP, with a fake machine: metrics, readiness, pressure."""

import subprocess
from datetime import UTC, datetime, timedelta

import trio

from greenroom.actors.errors import ProfileLocked
from greenroom.actors.testing import FakeMachine
from greenroom.actors.testing_driver import PAGE
from tests.web.http.front import error, open_front, until
from tests.web.http.websockets import open_socket
from tests.web.metrics.reading import samples

TOKEN = "correct-horse-battery"
NAME = "greenroom_http_refusals_total"
OPEN_METRICS = "application/openmetrics-text;version=1.0.0"


async def test_metrics_are_what_promtool_takes_for_good() -> None:
    """Their names and types follow Prometheus's conventions, and each has a description."""
    async with open_front(warm_sessions=1) as front:
        await front.establish()
        await front.create(content=b"[]")
        answer = await front.client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    checked = await trio.run_process(
        ["promtool", "check", "metrics"],
        stdin=answer.content,
        check=False,
        stderr=subprocess.STDOUT,
        capture_stdout=True,
    )
    assert (checked.returncode, checked.stdout) == (0, b"")


async def test_metrics_come_as_openmetrics_to_those_who_accept_it() -> None:
    """Prometheus does."""
    async with open_front() as front:
        answer = await front.client.get("/metrics", headers={"Accept": f"{OPEN_METRICS},text/plain;q=0.5"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_state_of_the_daemon_is_for_those_who_have_the_token() -> None:
    """It tells names of profiles, and how much is going on. The token itself is in none of it."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with open_front(token=TOKEN) as front:
        for path in ("/metrics", "/ready", "/pressure"):
            assert (await front.client.get(path)).status_code == 401
            answer = await front.client.get(path, headers=headers)
            assert answer.status_code == 200
            assert TOKEN not in answer.text
        found = samples((await front.client.get("/metrics", headers=headers)).text)
        assert found["greenroom_http_refusals_total", "UNAUTHORIZED"] == 3


async def test_requests_that_are_refused_are_counted_by_their_codes() -> None:
    """Those that no session was begun for, too; but not that it is not ready, which some ask for ever."""
    async with open_front(max_sessions=1) as front:
        path = await front.establish()
        assert (await front.create()).status_code == 503
        assert (await front.client.get("/ready")).status_code == 503
        assert (await front.client.get("/nothing")).status_code == 404
        assert (await front.client.post(f"{path}/actions", content=b"{}")).status_code == 422
        found = samples((await front.client.get("/metrics")).text)
    refusals = {key[1]: value for key, value in found.items() if key[0] == NAME and value}
    assert refusals == {"CAPACITY_EXHAUSTED": 1, "NOT_FOUND": 1, "INVALID_REQUEST": 1}
    assert found["greenroom_creations_total", "success"] == 1


async def test_what_clients_and_watchers_do_is_counted() -> None:
    """What a relay carries, both ways; who is attached; who watches."""
    async with open_front() as front:
        path = await front.establish()
        async with (
            open_socket(f"{front.url}{path}/playwright") as socket,
            open_socket(f"{front.url}{path}/watch"),
        ):
            await socket.say(1, "", "initialize", sdkLanguage="python")
            await socket.say(2, PAGE, "reload")
            received = sum([len((await socket.receive()).encode()) for _ in range(2)])
            await until(
                lambda: front.events[-1].session.clients == 1 and bool(front.events[-1].session.watchers)
            )
            found = samples((await front.client.get("/metrics")).text)
    assert found["greenroom_relay_bytes_total", "from_client"] > 50
    assert found["greenroom_relay_bytes_total", "to_client"] >= received
    assert (found["greenroom_clients",], found["greenroom_watchers",]) == (1, 1)


async def test_ready_is_refused_as_a_session_would_be() -> None:
    """With the same body and the same Retry-After; with 503 even where a session would get another status."""
    machine = FakeMachine()
    async with open_front(machine, max_sessions=1, max_session_duration=100) as front:
        answer = await front.client.get("/ready")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
        machine.clone_error = ProfileLocked("User data directory is locked")
        answer = await front.client.get("/ready")
        assert (answer.status_code, answer.json()) == (
            503,
            error("Not ready", "NOT_READY", "User data directory is locked"),
        )
        machine.clone_error = None
        await front.establish()
        ready, created = await front.client.get("/ready"), await front.create()
        assert ready.json() == error(
            "All sessions are in use", "CAPACITY_EXHAUSTED", created.json()["error_details"]["details"]
        )
        assert (ready.status_code, created.status_code) == (503, 503)
        assert 90 < int(ready.headers["Retry-After"]) <= 100


async def test_ready_is_asked_of_the_profile_that_the_session_would_be_of() -> None:
    """By the same header. That a profile can be written can't be promised."""
    async with open_front(FakeMachine(missing=frozenset({"work"}))) as front:
        answer = await front.client.get("/ready", headers={"X-Profile": "work"})
        assert answer.json()["error_details"]["code"] == "NOT_READY"
        assert "`greenroom login work`" in answer.json()["error_details"]["details"]
        for headers in ({"X-Profile": "../etc"}, {"X-Profile-Mode": "write"}):
            answer = await front.client.get("/ready", headers=headers)
            assert (answer.status_code, answer.json()["error_details"]["code"]) == (422, "INVALID_REQUEST")


async def test_pressure_says_how_much_room_there_is_and_when_there_is_again() -> None:
    """The time is that at which the first of the sessions ends at the latest."""
    async with open_front(max_sessions=1, max_session_duration=100) as front:
        assert (await front.client.get("/pressure")).json() == {
            "status": "success",
            "message": "There is room",
            "sessions": 0,
            "warm": 0,
            "max_sessions": 1,
            "room": 1,
            "queued": 0,
            "launching": 0,
            "next_free_at": None,
        }
        path = await front.establish()
        pressure = (await front.client.get("/pressure")).json()
        expires_at = (await front.client.get(path)).json()["session"]["expires_at"]
        assert (pressure["message"], pressure["sessions"], pressure["room"]) == ("There is no room", 1, 0)
        difference = datetime.fromisoformat(pressure["next_free_at"]) - datetime.fromisoformat(expires_at)
        assert abs(difference) < timedelta(seconds=1)
        assert datetime.fromisoformat(pressure["next_free_at"]) > datetime.now(UTC)


async def test_answers_are_as_they_are_described() -> None:
    """Field by field."""
    async with open_front() as front:
        description = (await front.client.get("/openapi.json")).json()
        for path in ("/ready", "/pressure"):
            answer = (await front.client.get(path)).json()
            content = description["paths"][path]["get"]["responses"]["200"]["content"]
            schema = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert set(answer) == set(description["components"]["schemas"][schema]["properties"])
