"""A live session: actions, its time, and its login. In virtual time."""

import math

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from greenroom.actors.actions.actions import Action, Click, Evaluate, Navigate, PageSelect
from greenroom.actors.commands import Act, Probe
from greenroom.actors.errors import (
    ActionFailed,
    ActionTimedOut,
    InvalidAction,
    SessionEnded,
    SessionNotLive,
    StaleRef,
)
from greenroom.actors.events import EventKind
from greenroom.actors.lifecycle import EndReason, SessionState
from greenroom.actors.session.lifetime import Lifetime
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from tests.actors.session.test_actor import open_session, reach, stuck_in
from tests.actors.session.test_commands import Work, live_session

STEPS: tuple[Action, ...] = (Navigate(url="https://a.example/"), Click(target="e1"), Evaluate(expression="1"))


async def test_actions_are_carried_out_in_order(autojump_clock: MockClock) -> None:
    """Each has a result, and the answer says which page the last one left."""
    machine = FakeMachine(action_s=2, value={"a": 1})
    async with live_session(machine) as session:
        acted = await session.actor.handle.run(Act(STEPS, with_snapshot=True))
        assert [(result.kind, result.ms) for result in acted.results] == [
            ("navigate", 2000),
            ("click", 2000),
            ("evaluate", 2000),
        ]
        assert msgspec.json.decode(acted.results[2].value) == {"a": 1}
        assert acted.page.url == "https://a.example/"
        assert acted.snapshot == machine.html.decode()
        assert [type(done) for done in machine.browsers["a"].performed[:3]] == [type(step) for step in STEPS]
        await session.actor.handle.end()


async def test_first_action_that_fails_is_the_last(autojump_clock: MockClock) -> None:
    """The error says which one, and what those before it came to."""
    machine = FakeMachine(action_s=6)  # longer than a click may take, and shorter than a page may
    async with live_session(machine) as session:
        with pytest.raises(ActionTimedOut) as failed:
            await session.actor.handle.run(Act(STEPS))
        assert (failed.value.kind, failed.value.index) == ("click", 1)
        assert [result.kind for result in failed.value.done] == ["navigate"]
        assert trio.current_time() == 6 + 5
        assert session.actor.handle.info().state is SessionState.LIVE
        await session.actor.handle.end()


async def test_stale_ref_comes_with_a_fresh_snapshot(autojump_clock: MockClock) -> None:
    """One that can't be had is left out."""
    machine = FakeMachine(action_error=StaleRef("stale"))
    async with live_session(machine) as session:
        with pytest.raises(StaleRef) as failed:
            await session.actor.handle.run(Act((Click(target="e1"),)))
        assert failed.value.snapshot is None
        await session.actor.handle.end()


async def test_actions_end_with_their_session(autojump_clock: MockClock) -> None:
    """However long they may take, the session's deadline comes first."""
    async with live_session(FakeMachine(action_s=200), max_duration_s=60) as session:
        with pytest.raises(SessionEnded):
            await session.actor.handle.run(Act((PageSelect(page="p1", timeout=300),)))
        assert trio.current_time() == 60
        await session.ended.wait()


async def test_extension_moves_the_end_up_to_the_ceiling(autojump_clock: MockClock) -> None:
    """The session says so in `expires_at`, in an event, and by living on."""
    async with live_session(max_duration_s=60, ceiling_s=100) as session:
        handle = session.actor.handle
        before = handle.info().expires_at
        assert before is not None
        info = await handle.extend(30)
        assert info.expires_at is not None
        assert (info.expires_at - before).total_seconds() == pytest.approx(30, abs=1)
        assert session.events[-1].kind is EventKind.EXTENDED
        info = await handle.extend(1000)
        assert info.expires_at is not None
        assert (info.expires_at - before).total_seconds() == pytest.approx(40, abs=1)
        assert session.actor.latest_end == 100
        assert (await handle.wait_ended()).reason is EndReason.EXPIRED
        assert trio.current_time() == 100


async def test_extension_is_refused_before_the_session_is_live_and_after_its_end(
    autojump_clock: MockClock,
) -> None:
    """Nothing changes then."""
    async with open_session(stuck_in(SessionState.JUDGING)) as session:
        await reach(session, SessionState.JUDGING)
        with pytest.raises(SessionNotLive):
            await session.actor.handle.extend(10)
        await session.actor.handle.end()
        with pytest.raises(SessionEnded):
            await session.actor.handle.extend(10)


@given(
    extensions=st.lists(
        st.tuples(st.sampled_from([0.0, 59.0, 60.0, 61.0, 100.0]) | st.floats(0, 150), st.floats(0.1, 80)),
        max_size=5,
    )
)
def test_extension_races_with_the_end(extensions: list[tuple[float, float]]) -> None:
    """Whoever is told of a later end gets it; whoever comes too late is told that the session has ended."""

    async def run() -> None:
        async with live_session(max_duration_s=60, ceiling_s=120) as session, trio.open_nursery() as nursery:
            handle, promised = session.actor.handle, [60.0]

            async def extend(at: float, seconds: float) -> None:
                await trio.sleep_until(at)
                try:
                    await handle.extend(seconds)
                except SessionEnded:
                    assert trio.current_time() >= promised[-1] - 1e-6
                else:
                    promised.append(session.actor.latest_end)

            for at, seconds in extensions:
                nursery.start_soon(extend, at, seconds)
            await session.ended.wait()
            assert trio.current_time() == pytest.approx(max(promised))
            assert trio.current_time() <= 120 + 1e-6

    trio.run(run, clock=MockClock(autojump_threshold=0))


async def test_session_without_commands_ends_as_idle(autojump_clock: MockClock) -> None:
    """Time counts from the end of the last command; one that runs keeps the session."""
    async with live_session(FakeMachine(), max_duration_s=300, idle_timeout_s=20) as session:
        handle = session.actor.handle
        await trio.sleep(15)
        await handle.run(Work(seconds=50))
        assert trio.current_time() == 65
        assert (await handle.wait_ended()).reason is EndReason.IDLE
        assert trio.current_time() == 85


async def test_busy_session_still_expires(autojump_clock: MockClock) -> None:
    """Use does not lengthen a session's life."""
    async with live_session(max_duration_s=60, idle_timeout_s=20) as session:
        with pytest.raises(SessionEnded):
            await session.actor.handle.run(Work(seconds=100))
        await session.ended.wait()
        assert session.reason is EndReason.EXPIRED
        assert trio.current_time() == 60


async def test_lifetime_that_is_over_can_not_be_moved(autojump_clock: MockClock) -> None:
    """A deadline that has passed stays passed, even before Trio has delivered the cancellation."""
    with trio.CancelScope() as scope:
        lifetime = Lifetime(scope=scope, max_duration_s=5, ceiling_s=100, idle_timeout_s=math.inf)
        assert not lifetime.is_over
        await trio.sleep(6)
    assert lifetime.is_over


@pytest.mark.parametrize("is_kept", [True, False], ids=["keep", "end"])
async def test_login_that_is_lost_is_noticed_after_a_navigation(
    autojump_clock: MockClock, is_kept: bool
) -> None:
    """An event says so and the session shows it; the settings decide whether the session goes on."""
    machine = FakeMachine()
    async with live_session(machine, ends_without_login=not is_kept) as session:
        handle = session.actor.handle
        machine.page = LoginState.LOGGED_OUT
        await trio.sleep(5)
        verdict = handle.info().verdict
        assert verdict is not None
        assert verdict.state is LoginState.LOGGED_IN  # nothing has happened in the page
        machine.browsers["a"].note_navigation()
        await trio.sleep(1)
        verdict = handle.info().verdict
        assert verdict is not None
        assert verdict.state is LoginState.LOGGED_OUT
        kinds = [event.kind for event in session.events]
        assert kinds.count(EventKind.LOGIN_LOST) == 1
        if not is_kept:
            assert (await handle.wait_ended()).reason is EndReason.LOGIN_LOST
            return
        machine.page = LoginState.LOGGED_IN
        machine.browsers["a"].note_navigation()
        await trio.sleep(3)
        assert session.events[-1].kind is EventKind.LOGIN_BACK
        await handle.end()


async def test_page_that_says_nothing_leaves_the_verdict_as_it_was(autojump_clock: MockClock) -> None:
    """Most pages of the web don't show who is logged in to the site."""
    machine = FakeMachine()
    async with live_session(machine) as session:
        handle = session.actor.handle
        machine.page = LoginState.UNCERTAIN
        machine.browsers["a"].note_navigation()
        await trio.sleep(30)
        assert (await handle.judge()).state is LoginState.UNCERTAIN
        verdict = handle.info().verdict
        assert verdict is not None
        assert verdict.state is LoginState.LOGGED_IN
        assert machine.browsers["a"].urls == ["https://example.test/"]  # judged without loading it again
        await handle.end()


async def test_failed_action_is_not_the_end_of_its_session(autojump_clock: MockClock) -> None:
    """Only a lost browser is."""
    machine = FakeMachine(action_error=ActionFailed("no"))
    async with live_session(machine) as session:
        with pytest.raises(ActionFailed):
            await session.actor.handle.run(Act((Click(target="e1"),)))
        await session.actor.handle.run(Probe())
        await session.actor.handle.end()


async def test_page_that_navigates_all_the_time_is_looked_at_now_and_then(autojump_clock: MockClock) -> None:
    """It must not keep its host busy, which serves other sessions too."""
    machine = FakeMachine()
    async with live_session(machine) as session:
        looks = machine.looks
        for _ in range(100):
            machine.browsers["a"].note_navigation()
            await trio.sleep(0.1)
        assert 4 <= machine.looks - looks <= 6
        await session.actor.handle.end()


async def test_no_action_at_all_is_refused(autojump_clock: MockClock) -> None:
    """From Python; over HTTP there is always one."""
    async with live_session() as session:
        with pytest.raises(InvalidAction):
            await session.actor.handle.run(Act(()))
        await session.actor.handle.end()
