"""The supervisor looks by itself for problems that would keep the next session from going live."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from structlog.typing import EventDict
from trio.testing import MockClock

from greenroom import (
    Condition,
    EndReason,
    SessionEvent,
    SessionState,
    Subject,
    Supervisor,
    SupervisorConfig,
    open_supervisor,
)
from greenroom.actors.errors import NotLoggedIn, ProfileLocked, UpstreamUnreachable
from greenroom.actors.lifecycle import ProfileInfo
from greenroom.actors.machine.site import SiteAddress
from greenroom.actors.machine.storage_state import StorageState
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginReason, LoginState, Method, Verdict
from greenroom.supervisor.machine import site_address
from greenroom.supervisor.self_check import LIMIT_S, PERIOD_S

NEXT_LOOK_S = 1.2 * PERIOD_S + LIMIT_S
DOWN = UpstreamUnreachable("The site can't be reached", detail="Connection refused")
NOBODY = NotLoggedIn(
    Verdict(state=LoginState.LOGGED_OUT, reason=LoginReason.NO_PROFILE, method=Method.HTML),
    hint="The master profile is missing",
)


@asynccontextmanager
async def supervised(
    machine: FakeMachine, *, warm: int = 0
) -> AsyncIterator[tuple[Supervisor, list[EventDict]]]:
    """Run a supervisor past its first check; yield it with its log of problems."""
    with capture_logs() as logs:
        config = SupervisorConfig(warm_sessions=warm, max_launching=10)
        async with open_supervisor(config, machine=machine) as supervisor:
            await trio.sleep(1)
            yield supervisor, logs


def problems(supervisor: Supervisor) -> dict[str, str | None]:
    return {
        subject.value: check.problem
        for subject, check in supervisor.checks.items()
        if check.health is Condition.PROBLEM
    }


def lines(logs: list[EventDict]) -> list[tuple[str, str]]:
    return [(line["event"], line["check"]) for line in logs if "check" in line]


async def until_warm(supervisor: Supervisor, count: int = 1) -> None:
    with trio.fail_after(200):
        while (await supervisor.count_sessions()).warm != count:
            await trio.sleep(0.1)


async def test_machine_that_is_well_is_found_so_at_the_start_without_a_word(
    autojump_clock: MockClock,
) -> None:
    """Only the login is unknown until a session has been judged."""
    async with supervised(FakeMachine()) as (supervisor, logs):
        health = {subject: check.health for subject, check in supervisor.checks.items()}
        assert health.pop(Subject.LOGIN) is Condition.UNKNOWN
        assert set(health.values()) == {Condition.OK}
        await supervisor.create_session()
        assert supervisor.checks[Subject.LOGIN].health is Condition.OK
        await trio.sleep(3 * NEXT_LOOK_S)
        assert lines(logs) == []


@pytest.mark.parametrize(
    ("field", "value", "subject", "problem"),
    [
        ("site_error", DOWN, "site", "The site can't be reached"),
        ("reach_s", 1000.0, "site", "No answer within 10 seconds"),
        ("clone_error", NOBODY, "profile", "The master profile is missing"),
        ("clone_error", KeyError("x"), "profile", "An internal error occurred"),
        ("no_place", "The clones directory is missing", "clones", "The clones directory is missing"),
    ],
    ids=["site down", "site hangs", "no profile", "unforeseen", "no place"],
)
async def test_what_turns_is_logged_once_each_way(
    autojump_clock: MockClock, field: str, value: object, subject: str, problem: str
) -> None:
    """It is noticed without any request, at the start as well as later."""
    machine = FakeMachine()
    well = getattr(machine, field)
    setattr(machine, field, value)
    async with supervised(machine) as (supervisor, logs):
        await trio.sleep(LIMIT_S)
        assert problems(supervisor) == {subject: problem}
        since = supervisor.checks[Subject(subject)].since
        await trio.sleep(3 * NEXT_LOOK_S)
        assert supervisor.checks[Subject(subject)].since == since
        setattr(machine, field, well)
        await trio.sleep(NEXT_LOOK_S)
        assert problems(supervisor) == {}
        assert lines(logs) == [("problem found", subject), ("problem resolved", subject)]
        setattr(machine, field, value)
        await trio.sleep(NEXT_LOOK_S)
        assert problems(supervisor) == {subject: problem}


async def test_site_that_goes_down_while_warm_sessions_stand_ready_is_noticed(
    autojump_clock: MockClock,
) -> None:
    """The warm sessions are kept, since the site may come back."""
    machine = FakeMachine()
    async with supervised(machine, warm=1) as (supervisor, logs):
        await until_warm(supervisor)
        machine.site_error = DOWN
        await trio.sleep(NEXT_LOOK_S)
        assert problems(supervisor) == {"site": "The site can't be reached"}
        assert (await supervisor.count_sessions()).warm == 1
        assert len(lines(logs)) == 1


async def test_locked_profile_is_no_problem(autojump_clock: MockClock) -> None:
    """While `greenroom login` runs, it has the profile open."""
    machine = FakeMachine(clone_error=ProfileLocked())
    async with supervised(machine) as (supervisor, _logs):
        assert problems(supervisor) == {}


async def test_missing_profile_is_noticed_when_a_session_meets_it(autojump_clock: MockClock) -> None:
    """It is noticed at once, not a minute later, and over as soon as a session is live."""
    machine = FakeMachine()
    async with supervised(machine) as (supervisor, logs):
        machine.clone_error = NOBODY
        for _ in range(2):
            with pytest.raises(NotLoggedIn):
                await supervisor.create_session()
            assert problems(supervisor) == {"profile": NOBODY.hint}
        machine.clone_error = None
        await supervisor.create_session()
        assert problems(supervisor) == {}
        assert [check for _, check in lines(logs)] == ["profile", "profile"]


async def test_page_that_does_not_come_is_a_problem_until_one_comes(autojump_clock: MockClock) -> None:
    """A site that accepts connections but answers 500 is a problem."""
    machine = FakeMachine(navigate_error=UpstreamUnreachable("HTTP 500"))
    async with supervised(machine) as (supervisor, logs):
        with pytest.raises(UpstreamUnreachable):
            await supervisor.create_session()
        assert problems(supervisor) == {"site": "HTTP 500"}
        await trio.sleep(NEXT_LOOK_S)
        assert problems(supervisor) == {"site": "HTTP 500"}
        machine.navigate_error = None
        await supervisor.create_session()
        assert problems(supervisor) == {}
        assert [check for _, check in lines(logs)] == ["site", "site"]


async def test_profile_that_was_judged_logged_out_has_no_warm_sessions(autojump_clock: MockClock) -> None:
    """Warm sessions end, and no new ones are launched until the master profile changes."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT)
    events: list[SessionEvent] = []
    async with supervised(machine, warm=2) as (supervisor, logs):
        with supervisor.events.subscribed(events.append):
            await until_warm(supervisor, 2)
            with pytest.raises(NotLoggedIn):
                await supervisor.create_session()
            assert problems(supervisor) == {
                "login": "The master profile is logged out: run `greenroom login`"
            }
            await trio.sleep(5)
            launched = len([e for e in events if e.session.state is SessionState.LAUNCHING])
            assert machine.browsers == {}
            await trio.sleep(600)
            assert machine.browsers == {}
            assert len([e for e in events if e.session.state is SessionState.LAUNCHING]) == launched
            with pytest.raises(NotLoggedIn):
                await supervisor.create_session()  # requests are still served
            machine.version, machine.page = "2", LoginState.LOGGED_IN
            await trio.sleep(NEXT_LOOK_S)
            assert problems(supervisor) == {}
            assert supervisor.checks[Subject.LOGIN].health is Condition.UNKNOWN
            await until_warm(supervisor, 2)
    ends = {e.session.reason for e in events if e.session.state is SessionState.ENDED}
    assert ends <= {EndReason.NOT_LOGGED_IN, EndReason.DISCARDED}
    assert [check for _, check in lines(logs)] == ["login", "login"]


async def test_each_profile_has_a_login_of_its_own(autojump_clock: MockClock) -> None:
    """The problem names the command for each that is logged out. Those that are deleted are none."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT)
    async with supervised(machine, warm=1) as (supervisor, _logs):
        for profile in ("shop", "default"):
            with pytest.raises(NotLoggedIn):
                await supervisor.create_session(profile=profile)
        assert problems(supervisor) == {
            "login": "Master profiles are logged out: run `greenroom login` and `greenroom login shop`"
        }
        machine.page = LoginState.LOGGED_IN
        await supervisor.create_session()
        assert problems(supervisor) == {
            "login": "The master profile is logged out: run `greenroom login shop`"
        }
        machine.missing = frozenset({"shop"})
        await trio.sleep(NEXT_LOOK_S)
        assert problems(supervisor) == {}


async def test_login_is_a_problem_until_there_is_one(autojump_clock: MockClock) -> None:
    """A session to log in is live without one. Once it has saved one, the problem is over."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT)
    async with supervised(machine) as (supervisor, _logs):
        with pytest.raises(NotLoggedIn):
            await supervisor.create_session()
        info = await supervisor.open_login()
        assert "login" in problems(supervisor)
        machine.page = LoginState.LOGGED_IN
        await supervisor.handle(info.id).wait_ended()
        assert problems(supervisor) == {}


async def test_import_that_shows_no_login_says_nothing_of_the_profile(autojump_clock: MockClock) -> None:
    """Its page was loaded with what the file had. Warm sessions stay."""
    machine = FakeMachine()
    async with supervised(machine, warm=1) as (supervisor, _logs):
        await until_warm(supervisor, 1)
        machine.page = LoginState.LOGGED_OUT
        with pytest.raises(NotLoggedIn):
            await supervisor.import_state(StorageState())
        assert problems(supervisor) == {}
        assert len(supervisor.overview().warm) == 1


async def test_profiles_that_can_not_be_looked_at_keep_nothing_else_from_being(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even by a fault of ours."""

    async def fail(_machine: FakeMachine) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(FakeMachine, "profiles", fail)
    machine = FakeMachine(site_error=DOWN)
    async with supervised(machine) as (supervisor, _logs):
        assert problems(supervisor) == {"site": str(DOWN)}


async def test_login_that_ends_soon_is_a_problem_before_it_does(autojump_clock: MockClock) -> None:
    """The profile itself says when. Until then sessions are launched ahead as ever."""
    now = datetime.now(UTC)
    far = ProfileInfo(name="default", login=("sessionid",), login_expires_at=now + timedelta(days=30))
    machine = FakeMachine(known=(far,))
    async with supervised(machine, warm=1) as (supervisor, logs):
        assert problems(supervisor) == {}
        soon = now + timedelta(days=1)
        machine.known = (far, attrs.evolve(far, name="shop", login_expires_at=soon))
        await trio.sleep(NEXT_LOOK_S)
        assert problems(supervisor) == {
            "login": f"The login of the profile shop ends on {soon:%Y-%m-%d at %H:%M} UTC at the latest: "
            "run `greenroom login shop`"
        }
        await until_warm(supervisor, 1)
        machine.known = (far,)
        await trio.sleep(NEXT_LOOK_S)
        assert problems(supervisor) == {}
    assert lines(logs) == [("problem found", "login"), ("problem resolved", "login")]


async def test_session_that_goes_live_shows_that_the_login_holds(autojump_clock: MockClock) -> None:
    """The earlier verdict was wrong about the login. Warm sessions are launched again at once."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT)
    async with supervised(machine, warm=1) as (supervisor, _logs):
        with pytest.raises(NotLoggedIn):
            await supervisor.create_session()
        machine.page = LoginState.LOGGED_IN
        await supervisor.create_session()
        assert problems(supervisor) == {}
        await until_warm(supervisor)


async def test_uncertain_page_does_not_stop_warm_sessions(
    autojump_clock: MockClock,
) -> None:
    """Neither a captcha nor a slow page means that nobody is logged in."""
    machine = FakeMachine(page=LoginState.UNCERTAIN)
    async with supervised(machine, warm=2) as (supervisor, _logs):
        await until_warm(supervisor, 2)
        with pytest.raises(NotLoggedIn):
            await supervisor.create_session()
        assert problems(supervisor) == {}
        await until_warm(supervisor, 2)


async def test_site_gets_a_connection_but_no_request() -> None:
    """The site sees a connection without any data. If nobody listens, that is a typed error."""
    heard: list[bytes | bytearray] = []
    done = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            heard.extend([chunk async for chunk in stream])
        done.set()

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        with trio.fail_after(30):
            await SiteAddress(name="The site", host="127.0.0.1", port=port).reach()
            await done.wait()
        nursery.cancel_scope.cancel()
    assert heard == []
    with trio.fail_after(30), pytest.raises(UpstreamUnreachable, match="The site can't be reached"):
        await SiteAddress(name="The site", host="127.0.0.1", port=port).reach()


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, SiteAddress(name="The site", host="www.tiktok.com", port=443)),
        ({"tiktok_url": "http://[::1]:8/x"}, SiteAddress(name="The site", host="::1", port=8)),
        ({"tiktok_url": "http://a.test/"}, SiteAddress(name="The site", host="a.test", port=80)),
        (
            {"proxy": "http://user:secret@proxy.test:3128"},
            SiteAddress(name="The proxy", host="proxy.test", port=3128),
        ),
    ],
)
def test_check_connects_to_the_proxy_if_there_is_one(settings: dict[str, str], address: SiteAddress) -> None:
    """Browsers connect only to the proxy, so the daemon does too."""
    assert site_address(SupervisorConfig(**settings)) == address  # type: ignore[arg-type]
