"""Warm sessions: launched before any request, handed out, replaced, discarded, given up."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
    SessionCount,
    SessionEvent,
    SessionState,
    Supervisor,
    SupervisorConfig,
    SupervisorStopped,
    open_supervisor,
)
from greenroom.actors.errors import EngineUnavailable, ProfileLocked, ProfileNotFound
from greenroom.actors.lifecycle import ProfileMode, ProfileUse
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.supervisor import registry

LAUNCH_S = 4.0


class Warmed:
    """A supervisor with one warm session, unless told otherwise, and its events."""

    def __init__(self, supervisor: Supervisor, machine: FakeMachine, events: list[SessionEvent]) -> None:
        self.supervisor = supervisor
        self.machine = machine
        self.events = events

    async def until_warm(self, count: int = 1) -> None:
        with trio.fail_after(100):
            while (await self.supervisor.count_sessions()).warm != count:
                await trio.sleep(0.1)

    def ends(self) -> list[EndReason | None]:
        return [event.session.reason for event in self.events if event.session.state is SessionState.ENDED]


@asynccontextmanager
async def warmed(machine: FakeMachine | None = None, **settings: object) -> AsyncIterator[Warmed]:
    machine = machine or FakeMachine(launch_s=LAUNCH_S, navigate_s=0.2)
    events: list[SessionEvent] = []
    config = SupervisorConfig(**{"warm_sessions": 1, "max_launching": 2, **settings})  # type: ignore[arg-type]
    async with open_supervisor(config, machine=machine, subscriber=events.append) as supervisor:
        yield Warmed(supervisor, machine, events)
    assert (machine.clones, machine.browsers) == (set(), {})


async def test_request_takes_the_warm_session_and_another_is_launched(autojump_clock: MockClock) -> None:
    """The request waits for no launch. The warm browser, which has only rehearsed, becomes its session."""
    async with warmed() as its:
        await its.until_warm()
        [ahead] = its.machine.browsers
        browser = its.machine.browsers[ahead]
        assert (browser.rehearsed, browser.urls) == ([its.supervisor.config.tiktok_url], [])
        before = trio.current_time()
        info = await its.supervisor.create_session()
        assert trio.current_time() - before == pytest.approx(0.2)
        assert info.id == ahead
        assert list(info.phase_ms) == ["cloning", "launching", "warm", "navigating", "judging", "live"]
        await its.until_warm()
        assert len(its.machine.browsers) == 2
        assert [session.id for session in await its.supervisor.list_sessions()] == [ahead]


async def test_request_to_write_the_profile_gets_a_session_of_its_own(autojump_clock: MockClock) -> None:
    """A warm one has only read it; it stays for the next request."""
    async with warmed() as its:
        await its.until_warm()
        [ahead] = its.machine.browsers
        info = await its.supervisor.create_session(mode=ProfileMode.WRITE)
        assert (info.id != ahead, info.profile) == (True, ProfileUse(mode=ProfileMode.WRITE))
        assert its.machine.uses[info.id] == info.profile
        assert (await its.supervisor.create_session()).id == ahead
        async with its.supervisor.session(mode=ProfileMode.WRITE) as session:
            written = session.handle.id
        assert its.machine.committed == [written]


async def test_warm_sessions_are_of_the_profiles_that_are_asked_for(autojump_clock: MockClock) -> None:
    """Each is handed out for its own profile only. Which profiles have them follows the demand."""
    async with warmed() as its:
        await its.until_warm()
        [ahead] = its.machine.browsers
        first = await its.supervisor.create_session(profile="shop")
        assert (first.id != ahead, first.profile.name) == (True, "shop")
        await trio.sleep(30)
        (warm,) = its.supervisor.overview().warm
        assert (warm.profile, warm.state) == (ProfileUse(name="shop"), SessionState.WARM)
        assert EndReason.DISCARDED in its.ends()
        assert (await its.supervisor.create_session(profile="shop")).id == warm.id


async def test_only_sessions_that_could_be_warm_are_demand(autojump_clock: MockClock) -> None:
    """Not those that write, log in or refresh: none of them takes a warm one."""
    async with warmed() as its:
        await its.until_warm()
        [ahead] = its.machine.browsers
        async with its.supervisor.session(profile="shop", mode=ProfileMode.WRITE):
            await its.supervisor.refresh("other")
        await its.supervisor.open_login("third")
        await trio.sleep(30)
        assert [(one.id, one.profile.name) for one in its.supervisor.overview().warm] == [(ahead, "default")]


async def test_demand_fills_a_place_that_nothing_could_fill(autojump_clock: MockClock) -> None:
    """The default profile is logged out, so nothing was launched ahead until another was asked for."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT)
    async with warmed(machine) as its:
        with pytest.raises(NotLoggedIn):
            await its.supervisor.create_session()
        await trio.sleep(5)
        assert its.supervisor.overview().warm == ()
        machine.page = LoginState.LOGGED_IN
        await its.supervisor.create_session(profile="shop")
        await its.until_warm()
        assert [one.profile.name for one in its.supervisor.overview().warm] == ["shop"]


async def test_profile_that_is_gone_has_no_warm_session_any_more(autojump_clock: MockClock) -> None:
    """The others go on."""
    async with warmed() as its:
        await its.supervisor.create_session(profile="shop")
        await trio.sleep(30)
        its.machine.missing = frozenset({"shop"})
        with pytest.raises(ProfileNotFound):
            await its.supervisor.create_session(profile="shop", mode=ProfileMode.WRITE)
        for warm in its.supervisor.overview().warm:
            await its.supervisor.end_session(warm.id)
        await trio.sleep(60)
        assert [one.profile.name for one in its.supervisor.overview().warm] == ["default"]


async def test_replacement_waits_until_the_request_is_answered(autojump_clock: MockClock) -> None:
    """While somebody waits for a page, nothing else is launched: that would slow the page down."""
    async with warmed(FakeMachine(launch_s=LAUNCH_S, navigate_s=10)) as its:
        await its.until_warm()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(its.supervisor.create_session)
            await trio.sleep(9.9)
            assert len([e for e in its.events if e.session.state is SessionState.LAUNCHING]) == 1
        await its.until_warm()


async def test_session_not_logged_in_is_refused_warm_or_not(autojump_clock: MockClock) -> None:
    """The verdict is about the page, which is only loaded on request."""
    machine = FakeMachine(launch_s=LAUNCH_S, page=LoginState.LOGGED_OUT)
    async with warmed(machine) as its:
        await its.until_warm()
        with pytest.raises(NotLoggedIn):
            await its.supervisor.create_session()
        assert its.ends() == [EndReason.NOT_LOGGED_IN]


async def test_master_changed_discards_the_warm_session_and_the_request_gets_a_new_one(
    autojump_clock: MockClock,
) -> None:
    """A clone of the old master must not serve a new session."""
    async with warmed() as its:
        await its.until_warm()
        [stale] = its.machine.browsers
        its.machine.version = "2"
        before = trio.current_time()
        info = await its.supervisor.create_session()
        assert info.id != stale
        assert trio.current_time() - before == pytest.approx(LAUNCH_S + 0.2)
        assert its.ends() == [EndReason.DISCARDED]


async def test_master_changed_is_noticed_without_a_request(autojump_clock: MockClock) -> None:
    """After a new login, the next request finds a warm session with it."""
    async with warmed() as its:
        await its.until_warm()
        its.machine.version = "2"
        await trio.sleep(30)
        await its.until_warm()
        assert its.ends() == [EndReason.DISCARDED]
        before = trio.current_time()
        await its.supervisor.create_session()
        assert trio.current_time() - before == pytest.approx(0.2)


async def test_locked_master_is_refused_even_with_a_warm_session_at_hand(
    autojump_clock: MockClock,
) -> None:
    """A master that is open in a browser is about to change."""
    async with warmed() as its:
        await its.until_warm()
        its.machine.clone_error = ProfileLocked()
        with pytest.raises(ProfileLocked):
            await its.supervisor.create_session()
        its.machine.clone_error = None


async def test_old_warm_session_is_replaced(autojump_clock: MockClock) -> None:
    """A session stays warm for `warm_max_age` and no longer."""
    async with warmed(warm_max_age=60) as its:
        await its.until_warm()
        [old] = its.machine.browsers
        await trio.sleep(61)
        await its.until_warm()
        assert its.ends() == [EndReason.DISCARDED]
        assert old not in its.machine.browsers


@pytest.mark.parametrize("ill", ["crashed", "stalled"])
async def test_unfit_browser_is_not_handed_out(autojump_clock: MockClock, ill: str) -> None:
    """A browser that has crashed, or doesn't answer at once, is replaced by a launch for the request."""
    async with warmed() as its:
        await its.until_warm()
        [(ahead, browser)] = its.machine.browsers.items()
        if ill == "crashed":
            browser.crash()
        else:
            its.machine.probe_s = math.inf
        info = await its.supervisor.create_session()
        assert info.id != ahead
        its.machine.probe_s = 0


async def test_caller_that_leaves_a_warm_session_ends_it(autojump_clock: MockClock) -> None:
    """A claimed session belongs to its caller, like any other."""
    async with warmed(FakeMachine(launch_s=LAUNCH_S, navigate_s=10)) as its:
        await its.until_warm()
        with trio.move_on_after(1):
            await its.supervisor.create_session()
        await its.until_warm()
        assert its.ends() == [EndReason.CALLER_LEFT]


async def test_warm_session_leaves_room_for_requests(autojump_clock: MockClock) -> None:
    """Warm sessions count towards max_sessions but never block a request. Useless ones are not kept."""
    async with warmed(max_sessions=2) as its:
        await its.until_warm()
        for _ in range(2):
            await its.supervisor.create_session()
        await trio.sleep(30)
        assert len(its.machine.browsers) == 2
        with pytest.raises(CapacityExhausted):
            await its.supervisor.create_session()
        [first, _second] = await its.supervisor.list_sessions()
        await its.supervisor.end_session(first.id)
        await its.until_warm()


async def test_failing_warm_launches_stop_until_a_session_is_live(autojump_clock: MockClock) -> None:
    """After some failures one line says so. Requests are still served; the first success starts it again."""
    machine = FakeMachine(launch_s=LAUNCH_S, launch_error=EngineUnavailable("no browser"))
    with capture_logs() as logs:
        async with warmed(machine) as its:
            await trio.sleep(600)
            assert len(its.ends()) == 5
            machine.launch_error = None
            await trio.sleep(600)
            assert (await its.supervisor.count_sessions()).warm == 0
            await its.supervisor.create_session()
            await its.until_warm()
    [left_off] = [line for line in logs if "no more warm sessions" in line["event"]]
    assert left_off["log_level"] == "error"
    assert left_off["error"] == "no browser"


async def test_several_crashes_with_time_at_hand_between_them_are_no_failure_in_a_row(
    autojump_clock: MockClock,
) -> None:
    """A session that has been warm was launched, so it is replaced, however often it crashes."""
    async with warmed() as its:
        for _ in range(7):
            await its.until_warm()
            next(iter(its.machine.browsers.values())).crash()
            await trio.sleep(30)
        await its.until_warm()


async def test_session_that_never_stays_warm_is_given_up_too(autojump_clock: MockClock) -> None:
    """A session that is over its budget at the first look would be launched again and again for nothing."""
    async with warmed(session_processes=8) as its:
        its.machine.usage = attrs.evolve(its.machine.usage, processes=9)
        await trio.sleep(3600)
        assert its.ends() == [EndReason.OVER_BUDGET] * 5


async def test_locked_master_is_tried_again_until_it_is_free(autojump_clock: MockClock) -> None:
    """A long `greenroom login` doesn't turn warm sessions off."""
    async with warmed() as its:
        await its.until_warm()
        its.machine.clone_error = ProfileLocked()
        its.machine.version = "2"
        await trio.sleep(600)
        its.machine.clone_error = None
        await its.until_warm()


@pytest.mark.parametrize("how", ["deleted", "too old"])
async def test_warm_session_that_ends_while_it_is_claimed_does_not_keep_the_caller(
    autojump_clock: MockClock, how: str
) -> None:
    """Its cleanup may take long. The caller is served by another launch at once."""
    machine = FakeMachine(launch_s=LAUNCH_S, remove_s=40)
    async with warmed(machine, warm_max_age=60) as its:
        await its.until_warm()
        [ahead] = machine.browsers
        warm_since = trio.current_time()
        machine.probe_s = 0.9
        async with trio.open_nursery() as nursery:
            if how == "too old":
                await trio.sleep_until(warm_since + 59.5)
            asked = trio.current_time()
            if how == "deleted":
                nursery.start_soon(_end_soon, its.supervisor, ahead)
            info = await its.supervisor.create_session()
            took = trio.current_time() - asked
        assert info.id != ahead
        assert took < 2 * LAUNCH_S


async def _end_soon(supervisor: Supervisor, session_id: str) -> None:
    await trio.sleep(0.5)
    await supervisor.end_session(session_id)


@pytest.mark.parametrize("how", ["stop", "drain"])
async def test_nothing_is_launched_once_it_is_to_stop(autojump_clock: MockClock, how: str) -> None:
    """A caller whose warm session is just being checked is refused; nothing else is launched for it."""
    async with warmed() as its:
        await its.until_warm()
        its.machine.probe_s = math.inf
        refused: list[Exception] = []

        async def ask() -> None:
            try:
                await its.supervisor.create_session()
            except SupervisorStopped as error:
                refused.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(0.5)
            started = trio.current_time()
            await (its.supervisor.stop() if how == "stop" else its.supervisor.drain(10))
            assert trio.current_time() - started < 1
        assert len(refused) == 1
        assert set(its.ends()) <= {EndReason.SHUTDOWN, EndReason.DISCARDED}


async def test_max_sessions_holds_even_while_warm_ones_end(autojump_clock: MockClock) -> None:
    """A request that needs a warm session's place waits until that session is gone."""
    machine = FakeMachine(launch_s=LAUNCH_S, remove_s=5)
    async with warmed(machine, max_sessions=1) as its:
        await its.until_warm()
        machine.version = "2"
        most = 0

        async def count() -> None:
            nonlocal most
            while True:
                most = max(most, len(machine.clones))
                await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            await its.supervisor.create_session()
            nursery.cancel_scope.cancel()
        assert most == 1


async def test_unfit_warm_session_leaves_the_request_to_the_next_warm_one(autojump_clock: MockClock) -> None:
    """Two sessions are warm and the first has crashed: nothing has to be launched."""
    async with warmed(warm_sessions=2) as its:
        await its.until_warm(2)
        next(iter(its.machine.browsers.values())).crash()
        before = trio.current_time()
        await its.supervisor.create_session()
        assert trio.current_time() - before < 1


async def test_waiting_for_a_turn_is_not_a_failure(autojump_clock: MockClock) -> None:
    """Warm launches that have to wait for others get their turn in the end, and count no failure."""
    machine = FakeMachine(launch_s=0, navigate_s=40)
    async with warmed(machine, session_creation_timeout=100, max_sessions=50) as its:
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(its.supervisor.create_session)
                await trio.sleep(35)
        await its.until_warm()
        assert EndReason.CREATION_TIMEOUT not in its.ends()


async def test_drain_and_stop_end_warm_sessions(autojump_clock: MockClock) -> None:
    """Warm sessions can't be claimed any more, so they end at once. Live ones have their grace."""
    async with warmed() as its:
        await its.until_warm()
        await its.supervisor.create_session()
        await its.until_warm()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(its.supervisor.drain, 20)
            await trio.sleep(1)
            assert its.ends() == [EndReason.SHUTDOWN]
            assert len(its.machine.browsers) == 1
            await trio.sleep(10)
            assert len(its.machine.browsers) == 1


async def test_warm_session_is_not_a_leak_and_can_be_looked_up(autojump_clock: MockClock) -> None:
    """It is owned and known, although nobody asked for it."""
    async with warmed() as its:
        await its.until_warm()
        [ahead] = its.machine.browsers
        holdings = await its.supervisor.find_leaks()
        assert {process.session for process in holdings.owned.processes} == {ahead}
        assert holdings.leaked.processes == ()
        assert (await its.supervisor.get_session(ahead)).state is SessionState.WARM
        assert await its.supervisor.list_sessions() == []


async def test_burst_with_warm_sessions_is_served_in_order(autojump_clock: MockClock) -> None:
    """Of eight requests at once, two take the warm sessions; the others launch two at a time."""
    took: list[float] = []
    async with warmed(warm_sessions=2) as its:
        await its.until_warm(2)
        started = trio.current_time()

        async def create() -> None:
            await its.supervisor.create_session()
            took.append(trio.current_time() - started)

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(create)
    assert took == pytest.approx([0.2] * 2 + [4.2] * 2 + [8.2] * 2 + [12.2] * 2)


async def test_caller_that_leaves_during_the_claim_leaves_the_session_warm(
    autojump_clock: MockClock,
) -> None:
    """Nothing was loaded for the caller yet, so the next request gets the session without a launch."""
    async with warmed() as its:
        await its.until_warm()
        [ahead] = its.machine.browsers
        its.machine.probe_s = 0.5
        for _ in range(3):
            with trio.move_on_after(0.2):
                await its.supervisor.create_session()
            await trio.sleep(0.4)
            assert await its.supervisor.count_sessions() == SessionCount(sessions=0, warm=1)
        info = await its.supervisor.create_session()
        assert info.id == ahead
        assert its.ends() == []


async def test_session_given_back_keeps_its_age_and_stays_known(autojump_clock: MockClock) -> None:
    """It is replaced when it is too old, and can be discarded, like any other."""
    async with warmed(warm_max_age=60) as its:
        await its.until_warm()
        [ahead] = its.machine.browsers
        its.machine.probe_s = 0.5
        with trio.move_on_after(0.2):
            await its.supervisor.create_session()
        await trio.sleep(30)
        assert list(its.machine.browsers) == [ahead]
        await trio.sleep(40)
        assert its.ends() == [EndReason.DISCARDED]
        await its.until_warm()


async def test_unfit_session_is_not_given_back(autojump_clock: MockClock) -> None:
    """The caller has left by the time the browser turns out not to answer."""
    async with warmed() as its:
        await its.until_warm()
        its.machine.probe_s = math.inf
        with trio.move_on_after(0.2):
            await its.supervisor.create_session()
        await trio.sleep(2)
        its.machine.probe_s = 0
        assert its.ends() == [EndReason.DISCARDED]
        await its.until_warm()


async def test_caller_that_leaves_while_it_waits_for_room_costs_nobody_anything(
    autojump_clock: MockClock,
) -> None:
    """The caller no longer counts, and no warm session ends for it."""
    machine = FakeMachine(launch_s=LAUNCH_S, remove_s=20)
    async with warmed(machine, max_sessions=1) as its:
        await its.until_warm()
        machine.version = "2"
        with trio.move_on_after(3):
            await its.supervisor.create_session()
        await trio.sleep(0.1)
        assert (await its.supervisor.count_sessions()).sessions == 0
        await its.until_warm()
        assert its.ends() == [EndReason.DISCARDED]


async def test_claim_that_fails_leaves_the_session_to_the_next_request(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen error during the claim doesn't cost the session."""

    async def fail(*_args: object) -> bool:
        raise RuntimeError("can't start new thread")

    async with warmed() as its:
        await its.until_warm()
        [ahead] = its.machine.browsers
        with monkeypatch.context() as patch, capture_logs():
            patch.setattr(registry, "_claim", fail)
            with pytest.raises(InternalFailure):
                await its.supervisor.create_session()
        assert (await its.supervisor.create_session()).id == ahead


async def test_request_that_waits_for_room_ends_no_more_than_stands_in_its_way(
    autojump_clock: MockClock,
) -> None:
    """Whatever else changes meanwhile, the other warm session goes on."""
    machine = FakeMachine(launch_s=20, remove_s=5)
    async with warmed(machine, max_sessions=2, warm_sessions=2) as its:
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(its.supervisor.create_session)
            for _ in range(3):
                await trio.sleep(1)
                its.supervisor._registry.self_check.on_turn()
        assert its.ends() == [EndReason.SHUTDOWN]
        await its.until_warm()


async def test_claimed_session_that_is_still_ending_takes_a_place(autojump_clock: MockClock) -> None:
    """Both warm sessions were unfit. One takes long to end, and no third is launched until it is gone."""
    machine = FakeMachine(launch_s=LAUNCH_S, remove_s=5)
    most = 0
    async with warmed(machine, max_sessions=2, warm_sessions=2) as its, trio.open_nursery() as nursery:
        await its.until_warm(2)
        machine.probe_s = 5
        nursery.start_soon(its.supervisor.create_session)
        await trio.sleep(1.5)  # the first was found unfit, the second is being checked
        machine.remove_s = 60
        for _ in range(100):
            most = max(most, len(machine.clones))
            await trio.sleep(0.5)
    assert most == 2
