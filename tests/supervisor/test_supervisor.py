"""The supervisor under virtual time: many sessions, one that fails, no room, and shutdown."""

import asyncio
import math
import uuid
from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from greenroom import (
    CapacityExhausted,
    EndReason,
    InternalFailure,
    NotLoggedIn,
    SessionEvent,
    SessionInfo,
    SessionNotFound,
    SessionState,
    Supervisor,
    SupervisorConfig,
    SupervisorStopped,
    open_supervisor,
)
from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.remembered import KEEP_S


def config(**changes: object) -> SupervisorConfig:
    """Return settings with which sessions are only launched on request, all of them at once."""
    base = SupervisorConfig(warm_sessions=0, max_launching=1000)
    return attrs.evolve(base, **changes)  # type: ignore[arg-type]


async def test_created_session_is_live_listed_and_has_a_uuid(autojump_clock: MockClock) -> None:
    """The other requests answer with what create_session returned."""
    machine = FakeMachine(launch_s=2)
    async with open_supervisor(config(), machine=machine) as supervisor:
        info = await supervisor.create_session()
        assert trio.current_time() == 2
        assert uuid.UUID(info.id).version == 4
        assert info.state is SessionState.LIVE
        assert [session.id for session in await supervisor.list_sessions()] == [info.id]
        assert (await supervisor.get_session(info.id)).expires_at == info.expires_at
    assert (machine.clones, machine.browsers) == (set(), {})


async def test_settings_reach_the_session(autojump_clock: MockClock) -> None:
    """The configured URL is opened, and the configured times apply."""
    machine = FakeMachine()
    settings = config(
        tiktok_url="https://example.test/x", max_session_duration=7, session_creation_timeout=3,
        login_detection_timeout=1, login_detection_retries=0,
    )  # fmt: skip
    async with open_supervisor(settings, machine=machine) as supervisor:
        info = await supervisor.create_session()
        assert machine.browsers[info.id].urls == ["https://example.test/x"]
        await trio.sleep(7)
        await supervisor.end_session(info.id)
        assert (await supervisor.get_session(info.id)).reason is EndReason.EXPIRED
        machine.inspect_s = math.inf
        with pytest.raises(NotLoggedIn):
            await supervisor.create_session()
        assert trio.current_time() == 8


async def test_ten_creations_at_once_are_independent_of_one_that_hangs(autojump_clock: MockClock) -> None:
    """The supervisor never waits for a launch, so a hanging one delays nobody."""
    machine = FakeMachine(launch_s=math.inf)
    made: list[SessionInfo] = []

    async def create(supervisor: Supervisor) -> None:
        made.append(await supervisor.create_session())

    async with open_supervisor(config(), machine=machine) as supervisor:
        async with trio.open_nursery() as hanging:
            hanging.start_soon(supervisor.create_session)
            await trio.sleep(1)
            machine.launch_s = 4
            async with trio.open_nursery() as nursery:
                for _ in range(9):
                    nursery.start_soon(create, supervisor)
            assert trio.current_time() == 5
            assert len({info.id for info in made}) == 9
            hanging.cancel_scope.cancel()
        await trio.sleep(0.1)
        assert len(await supervisor.list_sessions()) == 9


async def test_unforeseen_failure_of_one_session_leaves_the_others_and_the_supervisor(
    autojump_clock: MockClock,
) -> None:
    """One child's failure ends that child alone."""
    machine = FakeMachine()
    async with open_supervisor(config(), machine=machine) as supervisor:
        first = await supervisor.create_session()
        machine.launch_error = RuntimeError("nobody foresaw this")
        with pytest.raises(InternalFailure):
            await supervisor.create_session()
        machine.launch_error = None
        second = await supervisor.create_session()
        assert [session.id for session in await supervisor.list_sessions()] == [first.id, second.id]


async def test_full_house_refuses_with_the_earliest_known_end(autojump_clock: MockClock) -> None:
    """The refusal says when a place will be free at the latest."""
    machine = FakeMachine()
    async with open_supervisor(config(max_sessions=2), machine=machine) as supervisor:
        await supervisor.create_session()
        await trio.sleep(100)
        machine.launch_s = 10
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.create_session)
            await trio.sleep(5)
            with pytest.raises(CapacityExhausted) as refusal:
                await supervisor.create_session()
            assert refusal.value.retry_after_s == 195
        assert len(machine.browsers) == 2
        await trio.sleep(195)
        await supervisor.create_session()


async def test_session_still_cleaning_up_keeps_its_place(autojump_clock: MockClock) -> None:
    """The place is free once the browser and the clone are gone, not before."""
    machine = FakeMachine(remove_s=10)
    async with open_supervisor(config(max_sessions=1, max_session_duration=5), machine=machine) as supervisor:
        await supervisor.create_session()
        await trio.sleep(6)
        with pytest.raises(CapacityExhausted):
            await supervisor.create_session()
        await trio.sleep(10)
        await supervisor.create_session()


async def test_ended_session_is_known_for_a_quarter_of_an_hour(autojump_clock: MockClock) -> None:
    """You can ask for its end and delete it again. Then it is forgotten."""
    async with open_supervisor(config(), machine=FakeMachine()) as supervisor:
        info = await supervisor.create_session()
        await supervisor.end_session(info.id)
        ended = await supervisor.get_session(info.id)
        assert (ended.state, ended.reason) == (SessionState.ENDED, EndReason.DELETED)
        assert await supervisor.list_sessions() == []
        await supervisor.end_session(info.id)
        await trio.sleep(KEEP_S - 1)
        await supervisor.get_session(info.id)
        await trio.sleep(1)
        with pytest.raises(SessionNotFound):
            await supervisor.get_session(info.id)


async def test_unknown_id_is_not_found(autojump_clock: MockClock) -> None:
    """An unknown id can be neither looked up nor ended."""
    async with open_supervisor(config(), machine=FakeMachine()) as supervisor:
        with pytest.raises(SessionNotFound):
            await supervisor.get_session("unknown")
        with pytest.raises(SessionNotFound):
            await supervisor.end_session("unknown")


async def test_cancelled_creation_is_over_without_waiting(autojump_clock: MockClock) -> None:
    """The caller returns at once, and its session is cleaned up in the background."""
    machine = FakeMachine(launch_s=math.inf, remove_s=2)
    events: list[SessionEvent] = []
    async with open_supervisor(config(), machine=machine, subscriber=events.append) as supervisor:
        with trio.move_on_after(1):
            await supervisor.create_session()
        assert trio.current_time() == 1
        await trio.sleep(2.1)
        assert await supervisor.list_sessions() == []
    assert events[-1].session.reason is EndReason.CALLER_LEFT


async def test_leaving_the_block_ends_all_sessions_politely(autojump_clock: MockClock) -> None:
    """When the supervisor ends, so does every session, with the reason shutdown."""
    machine = FakeMachine(close_s=3)
    events: list[SessionEvent] = []
    async with open_supervisor(config(), machine=machine, subscriber=events.append) as supervisor:
        for _ in range(3):
            await supervisor.create_session()
        browsers = list(machine.browsers.values())
    assert trio.current_time() == 3
    assert all(browser.closed_politely for browser in browsers)
    assert [event.session.reason for event in events if event.session.state is SessionState.ENDED] == [
        EndReason.SHUTDOWN
    ] * 3
    assert (machine.clones, machine.browsers) == (set(), {})


async def test_stopping_refuses_creations_under_way_and_new_ones(autojump_clock: MockClock) -> None:
    """Callers that wait for a session when the supervisor stops learn that it stopped."""
    machine = FakeMachine(launch_s=math.inf)
    async with open_supervisor(config(), machine=machine) as supervisor:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expect_stopped, supervisor.create_session)
            await trio.sleep(1)
            await supervisor.stop()
        for ask in (supervisor.create_session, supervisor.list_sessions):
            await _expect_stopped(ask)
    assert trio.current_time() == 1


async def _expect_stopped(ask: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(SupervisorStopped):
        await ask()


async def test_cancelling_the_block_frees_everything(autojump_clock: MockClock) -> None:
    """Cancelling the nursery around the supervisor leaves no browser and no clone."""
    machine = FakeMachine(remove_s=1, close_s=math.inf)
    with trio.move_on_after(10) as scope:
        async with open_supervisor(config(), machine=machine) as supervisor:
            await supervisor.create_session()
            machine.launch_s = math.inf
            async with trio.open_nursery() as nursery:
                nursery.start_soon(supervisor.create_session)
    assert scope.cancelled_caught
    assert (machine.clones, machine.browsers) == (set(), {})


async def test_exception_in_the_block_frees_everything_and_comes_out(autojump_clock: MockClock) -> None:
    """The caller's own error ends the supervisor and is raised."""
    machine = FakeMachine()
    with pytest.RaisesGroup(pytest.RaisesExc(ZeroDivisionError), flatten_subgroups=True):
        async with open_supervisor(config(), machine=machine) as supervisor:
            await supervisor.create_session()
            raise ZeroDivisionError
    assert (machine.clones, machine.browsers) == (set(), {})


@pytest.mark.parametrize("failure", [RuntimeError("disk full"), asyncio.CancelledError(), GeneratorExit()])
async def test_failing_subscriber_hurts_nobody(autojump_clock: MockClock, failure: BaseException) -> None:
    """A subscriber that raises is reported. Sessions and other subscribers go on."""
    heard: list[SessionState] = []

    def fail(_event: SessionEvent) -> None:
        raise failure

    with capture_logs() as logs:
        async with open_supervisor(config(), machine=FakeMachine(), subscriber=fail) as supervisor:
            with supervisor.events.subscribed(lambda event: heard.append(event.session.state)):
                await supervisor.create_session()
            assert heard[-1] is SessionState.LIVE
            told = len(heard)
            await supervisor.create_session()
            assert len(heard) == told, "a subscription ends with its block"
    assert {line["event"] for line in logs} == {"an event subscriber failed"}


async def test_draining_refuses_new_sessions_and_gives_live_ones_their_grace(
    autojump_clock: MockClock,
) -> None:
    """Nothing new starts, creations under way are cancelled at once, and live sessions go on for a while."""
    machine = FakeMachine()
    events: list[SessionEvent] = []
    async with open_supervisor(config(), machine=machine, subscriber=events.append) as supervisor:
        live = await supervisor.create_session()
        machine.launch_s = math.inf
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expect_stopped, supervisor.create_session)
            await trio.sleep(1)
            nursery.start_soon(supervisor.drain, 10)
            await trio.sleep(1)
            await _expect_stopped(supervisor.create_session)
            assert [info.id for info in await supervisor.list_sessions()] == [live.id]
        assert trio.current_time() == 11
    assert {event.session.reason for event in events if event.session.state is SessionState.ENDED} == {
        EndReason.SHUTDOWN
    }


async def test_draining_ends_with_the_last_session(autojump_clock: MockClock) -> None:
    """Draining ends as soon as no session is left."""
    async with open_supervisor(config(max_session_duration=3), machine=FakeMachine()) as supervisor:
        await supervisor.create_session()
        await supervisor.drain(10)
        assert trio.current_time() == 3


async def test_hurried_draining_ends_all_at_once(autojump_clock: MockClock) -> None:
    """Cancelling the drain and stopping skips the grace and leaves nothing."""
    machine = FakeMachine()
    async with open_supervisor(config(), machine=machine) as supervisor:
        await supervisor.create_session()
        with trio.move_on_after(1):
            await supervisor.drain(10)
    assert trio.current_time() == 1
    assert (machine.clones, machine.browsers) == (set(), {})


async def test_leaks_are_what_belongs_to_no_session(autojump_clock: MockClock) -> None:
    """Everything of a known session is owned; the rest is leaked."""
    machine = FakeMachine()
    async with open_supervisor(config(), machine=machine) as supervisor:
        info = await supervisor.create_session()
        holdings = await supervisor.find_leaks()
        assert {process.session for process in holdings.owned.processes} == {info.id}
        assert (holdings.leaked.processes, holdings.leaked.directories) == ((), ())
        machine.clones.add("forgotten")
        holdings = await supervisor.find_leaks()
        assert [directory.name for directory in holdings.leaked.directories] == ["forgotten"]
        assert holdings.leaked.entries == ("forgotten",)
        machine.clones.clear()
        machine.clones.add(info.id)


@pytest.mark.parametrize("moment", ["ends during", "begins during", "both"])
async def test_session_that_ends_or_begins_during_a_survey_is_not_leaked(
    autojump_clock: MockClock, moment: str
) -> None:
    """A session that was known at any time during the survey owns what the survey found."""
    machine = FakeMachine(survey_s=10)
    async with open_supervisor(config(), machine=machine) as supervisor, trio.open_nursery() as nursery:
        leaked: list[tuple[object, ...]] = []

        async def look() -> None:
            holdings = await supervisor.find_leaks()
            assert len(holdings.owned.processes) == 2
            leaked.append(holdings.leaked.processes + holdings.leaked.directories + holdings.leaked.entries)

        if moment == "ends during":
            info = await supervisor.create_session()
            await trio.sleep(1)
        nursery.start_soon(look)
        await trio.sleep(1)
        if moment != "ends during":
            info = await supervisor.create_session()
        await trio.sleep(6)
        if moment != "begins during":
            await supervisor.end_session(info.id)
        await trio.sleep(10)
        assert leaked == [()]
