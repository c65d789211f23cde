"""Whether one more session could be created now, and how full it is, without asking for one."""

from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from greenroom import (
    CapacityExhausted,
    GreenroomError,
    NotLoggedIn,
    Overloaded,
    ProfileLocked,
    Supervisor,
    SupervisorConfig,
    SupervisorStopped,
    UpstreamUnreachable,
    open_supervisor,
)
from greenroom.actors.errors import NotReady, ResourcesExhausted
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.supervisor.pressure import Pressure
from greenroom.supervisor.self_check import LIMIT_S, PERIOD_S


def config(**settings: Any) -> SupervisorConfig:
    return SupervisorConfig(**{"warm_sessions": 0, **settings})


async def refusal(supervisor: Supervisor, profile: str = "default") -> GreenroomError | None:
    """Return why it is not ready, None if it is."""
    try:
        await supervisor.check_ready(profile)
    except GreenroomError as exc:
        return exc
    return None


async def test_it_is_ready_as_long_as_a_request_would_not_be_refused_for_lack_of_room(
    autojump_clock: MockClock,
) -> None:
    """The refusal is the one that the request would get, and nothing is started to find out."""
    machine = FakeMachine()
    async with open_supervisor(
        config(max_sessions=1, max_session_duration=60), machine=machine
    ) as supervisor:
        assert await refusal(supervisor) is None
        assert supervisor.pressure() == Pressure(
            sessions=0, warm=0, max_sessions=1, room=1, queued=0, launching=0, next_free_s=None
        )
        await supervisor.create_session()
        await trio.sleep(20)
        refused = await refusal(supervisor)
        with pytest.raises(CapacityExhausted) as caught:
            await supervisor.create_session()
        assert isinstance(refused, CapacityExhausted)
        assert refused.retry_after_s == caught.value.retry_after_s == 40
        pressure = supervisor.pressure()
        assert (pressure.room, pressure.next_free_s) == (0, 40)
        await trio.sleep(41)
        assert await refusal(supervisor) is None
        assert len(machine.uses) == 1


async def test_launch_queue_that_is_too_long_is_no_readiness(autojump_clock: MockClock) -> None:
    """Unless a warm session of the profile is at hand, which needs no launch."""
    machine = FakeMachine(launch_s=12)
    settings = config(max_launching=1, warm_sessions=1, session_creation_timeout=30)
    async with open_supervisor(settings, machine=machine) as supervisor, trio.open_nursery() as nursery:

        async def ask() -> None:
            with pytest.raises((GreenroomError, trio.Cancelled)):
                await supervisor.create_session(profile="work")

        await trio.sleep(15)
        for _ in range(3):  # the last of them is refused
            nursery.start_soon(ask)
            await trio.sleep(0.1)
        assert isinstance(await refusal(supervisor, "work"), Overloaded)
        assert await refusal(supervisor) is None
        pressure = supervisor.pressure()
        assert (pressure.sessions, pressure.warm, pressure.launching) == (2, 1, 1)
        assert pressure.queued == 1
        nursery.cancel_scope.cancel(reason="enough seen")


async def test_machine_that_is_short_of_something_is_not_ready(autojump_clock: MockClock) -> None:
    """A warm session has what it needs already."""
    machine = FakeMachine()
    async with open_supervisor(config(warm_sessions=1), machine=machine) as supervisor:
        await trio.sleep(5)
        machine.scarce = "There is too little memory"
        assert await refusal(supervisor) is None
        refused = await refusal(supervisor, "work")
        assert isinstance(refused, ResourcesExhausted)
        assert str(refused) == "There is too little memory"


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("clone_error", ProfileLocked(), "User data directory is locked by another process"),
        ("no_place", "The clones directory is missing", "The clones directory is missing"),
        ("site_error", UpstreamUnreachable("The site can't be reached"), "The site can't be reached"),
    ],
)
async def test_problem_of_profile_place_or_site_is_no_readiness_while_it_lasts(
    autojump_clock: MockClock, field: str, value: object, why: str
) -> None:
    """The text says what it is."""
    machine = FakeMachine()
    well = getattr(machine, field)
    async with open_supervisor(config(), machine=machine) as supervisor:
        assert await refusal(supervisor) is None
        with capture_logs():
            setattr(machine, field, value)
            await trio.sleep(PERIOD_S + LIMIT_S)
            refused = await refusal(supervisor)
            assert isinstance(refused, NotReady)
            assert str(refused) == why
            setattr(machine, field, well)
            await trio.sleep(PERIOD_S + LIMIT_S)
        assert await refusal(supervisor) is None


async def test_profile_that_is_logged_out_is_not_ready_and_others_are(autojump_clock: MockClock) -> None:
    """Until it has changed, which may be a login."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT)
    async with open_supervisor(config(), machine=machine) as supervisor:
        with capture_logs(), pytest.raises(NotLoggedIn):
            await supervisor.create_session()
        assert str(await refusal(supervisor)) == "The master profile is logged out: run `greenroom login`"
        assert await refusal(supervisor, "work") is None
        machine.version = "2"
        await trio.sleep(PERIOD_S + LIMIT_S)
        assert await refusal(supervisor) is None


async def test_page_that_did_not_come_does_not_keep_everybody_from_trying_again(
    autojump_clock: MockClock,
) -> None:
    """Only a session can find out whether the next page comes: nobody would ask for one any more."""
    machine = FakeMachine(navigate_error=UpstreamUnreachable("HTTP 500"))
    async with open_supervisor(config(), machine=machine) as supervisor:
        with capture_logs(), pytest.raises(UpstreamUnreachable):
            await supervisor.create_session()
        assert await refusal(supervisor) is None


async def test_supervisor_that_drains_is_not_ready_and_has_no_room(autojump_clock: MockClock) -> None:
    """Nobody should wait for a place there, either."""
    async with open_supervisor(config(), machine=FakeMachine()) as supervisor, trio.open_nursery() as nursery:
        await supervisor.create_session()
        nursery.start_soon(supervisor.drain, 30)
        await trio.sleep(1)
        assert isinstance(await refusal(supervisor), SupervisorStopped)
        pressure = supervisor.pressure()
        assert (pressure.sessions, pressure.room, pressure.next_free_s) == (1, 0, None)


async def test_name_that_no_profile_can_have_is_a_mistake(autojump_clock: MockClock) -> None:
    """As it is where a session is asked for."""
    async with open_supervisor(config(), machine=FakeMachine()) as supervisor:
        with pytest.raises(ValueError, match="A profile's name"):
            await supervisor.check_ready("../etc")
