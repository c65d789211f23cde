"""The session actor's life under virtual time: every state, every way to end, and what remains."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import outcome
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from greenroom.actors.admission import Admission
from greenroom.actors.errors import (
    BrowserLost,
    CloneFailed,
    CreationTimedOut,
    EngineUnavailable,
    GreenroomError,
    InternalFailure,
    NotLoggedIn,
    OverBudget,
    ProfileLocked,
    SessionDeleted,
    SupervisorStopped,
    UpstreamUnreachable,
)
from greenroom.actors.events import SessionEvent
from greenroom.actors.lifecycle import EndReason, ProcessCount, Receipt, SessionInfo, SessionState
from greenroom.actors.resources import Budget, Usage
from greenroom.actors.session.actor import CLOSE_GRACE_S, SessionActor
from greenroom.actors.session.answering import ANSWER_GRACE_S
from greenroom.actors.session.mailbox import Caller
from greenroom.actors.session.sampling import SAMPLE_S
from greenroom.actors.session.spec import SessionSpec
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.actors.verdict.detector import LoginDetector

CREATING = [SessionState.CLONING, SessionState.LAUNCHING, SessionState.NAVIGATING, SessionState.JUDGING]
NOT_ENDING = [*CREATING, SessionState.LIVE]
STEP = {
    SessionState.CLONING: "clone_s",
    SessionState.LAUNCHING: "launch_s",
    SessionState.NAVIGATING: "navigate_s",
    SessionState.JUDGING: "inspect_s",
}


@attrs.define(kw_only=True)
class Session:
    """An actor under test, with both ends of the caller's wait and everything that it published."""

    actor: SessionActor
    caller: Caller
    reply: trio.MemoryReceiveChannel[outcome.Maybe[SessionInfo]]
    events: list[SessionEvent]
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def established(self) -> SessionInfo:
        return (await self.reply.receive()).unwrap()

    async def refused(self) -> GreenroomError:
        answer = await self.reply.receive()
        assert isinstance(answer, outcome.Error)
        assert isinstance(answer.error, GreenroomError)
        return answer.error

    @property
    def states(self) -> list[SessionState]:
        return [event.session.state for event in self.events]

    @property
    def reason(self) -> EndReason | None:
        return self.events[-1].session.reason


@asynccontextmanager
async def open_session(machine: FakeMachine, **spec: Any) -> AsyncIterator[Session]:
    """Run an actor beside the block. Check at the end that it has ended and left nothing."""
    settings: dict[str, Any] = {
        "id": "a",
        "url": "https://example.test/",
        "headless": True,
        "creation_timeout_s": 30,
        "max_duration_s": 300,
        "warm_max_age_s": 600,
        "detector": LoginDetector(timeout_s=8, retries=1, selectors={}),
        "budget": Budget(memory_bytes=1 << 30, processes=20, disk_bytes=1 << 30),
    } | spec
    reply_to, reply = trio.open_memory_channel[outcome.Maybe[SessionInfo]](1)
    deadline = trio.current_time() + settings["creation_timeout_s"]
    caller = Caller(reply_to=reply_to, deadline=deadline)
    events: list[SessionEvent] = []
    actor = SessionActor(
        spec=SessionSpec(**settings),
        caller=caller,
        machine=machine,
        admission=Admission(1),
        publish=events.append,
    )
    session = Session(actor=actor, caller=caller, reply=reply, events=events)

    async def run() -> None:
        await actor.run()
        session.ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with reply:
            yield session
    assert (machine.clones, machine.browsers) == (set(), {})
    assert session.states[-2:] == [SessionState.ENDING, SessionState.ENDED]
    assert actor.info().reason is session.reason is not None


def stuck_in(state: SessionState) -> FakeMachine:
    """Return a machine in which a session never leaves `state` by itself."""
    machine = FakeMachine()
    if state in STEP:
        setattr(machine, STEP[state], math.inf)
    return machine


async def reach(session: Session, state: SessionState) -> None:
    """Wait until the session is in `state`."""
    if state is SessionState.LIVE:
        await session.established()
    while not session.states or session.states[-1] is not state:  # states are published, not awaited
        await trio.sleep(0.01)


async def test_logged_in_profile_lives_until_its_deadline(autojump_clock: MockClock) -> None:
    """A session goes through its states, is live from the verdict on, and expires after its duration."""
    machine = FakeMachine(clone_s=1, launch_s=3, navigate_s=2, inspect_s=0.5)
    async with open_session(machine) as session:
        info = await session.established()
        assert trio.current_time() == 6.5
        assert (info.state, info.reason) == (SessionState.LIVE, None)
        assert info.verdict is not None
        assert info.verdict.state is LoginState.LOGGED_IN
        assert info.expires_at is not None
        (browser,) = machine.browsers.values()
        await session.ended.wait()
    assert trio.current_time() == 306.5
    assert session.states == [*NOT_ENDING, SessionState.ENDING, SessionState.ENDED]
    assert session.reason is EndReason.EXPIRED
    assert browser.closed_politely
    assert session.actor.info().phase_ms == {
        "cloning": 1000,
        "launching": 3000,
        "navigating": 2000,
        "judging": 500,
        "live": 300_000,
        "ending": 0,
    }


@pytest.mark.parametrize("close_s", [0, 2, math.inf], ids=["at once", "slowly", "never"])
async def test_expiry_frees_everything_even_if_the_browser_never_closes(
    autojump_clock: MockClock, close_s: float
) -> None:
    """A browser gets its grace to close politely, and no more."""
    machine = FakeMachine(close_s=close_s)
    async with open_session(machine, max_duration_s=60) as session:
        await session.established()
        await session.ended.wait()
    assert trio.current_time() == 60 + min(close_s, CLOSE_GRACE_S)


@pytest.mark.parametrize("state", CREATING)
async def test_creation_over_its_deadline_times_out_in_every_state(
    autojump_clock: MockClock, state: SessionState
) -> None:
    """Whatever hangs, the caller gets the timeout at the deadline, with nothing left."""
    machine = stuck_in(state)
    async with open_session(
        machine, detector=LoginDetector(timeout_s=99, retries=0, selectors={})
    ) as session:
        error = await session.refused()
        assert trio.current_time() == 30
        assert (machine.clones, machine.browsers) == (set(), {})
    assert isinstance(error, CreationTimedOut)
    assert str(error) == "Session creation timed out after 30 seconds"
    assert session.reason is EndReason.CREATION_TIMEOUT


async def test_timeout_with_slow_cleanup_is_answered_before_it_and_still_cleaned_up(
    autojump_clock: MockClock,
) -> None:
    """No answer waits longer than a grace for the removal of a slow clone."""
    machine = FakeMachine(launch_s=math.inf, remove_s=20)
    async with open_session(machine) as session:
        assert isinstance(await session.refused(), CreationTimedOut)
        assert trio.current_time() == 30 + ANSWER_GRACE_S < 31
        assert machine.clones == {"a"}
        await session.ended.wait()
        assert trio.current_time() == 50


async def test_verdict_exactly_at_the_deadline_is_a_timeout(autojump_clock: MockClock) -> None:
    """The session doesn't go live, and the timeout is not taken for a shutdown."""
    async with open_session(FakeMachine(navigate_s=30)) as session:
        assert isinstance(await session.refused(), CreationTimedOut)
    assert session.reason is EndReason.CREATION_TIMEOUT


@pytest.mark.parametrize("page", [LoginState.LOGGED_OUT, LoginState.UNCERTAIN])
async def test_page_without_a_login_is_refused_after_cleanup(
    autojump_clock: MockClock, page: LoginState
) -> None:
    """Both logged out and uncertain refuse, say which, and leave nothing by the time of the answer."""
    machine = FakeMachine(page=page, remove_s=3, close_s=99)
    async with open_session(machine) as session:
        error = await session.refused()
        assert trio.current_time() == 3  # not closed politely, since its clone is thrown away
        assert (machine.clones, machine.browsers) == (set(), {})
    assert isinstance(error, NotLoggedIn)
    assert error.verdict.state is page
    assert "greenroom login" in error.hint
    assert session.reason is EndReason.NOT_LOGGED_IN


async def test_page_that_never_shows_itself_is_uncertain_after_the_last_try(
    autojump_clock: MockClock,
) -> None:
    """Each try at the verdict has its own limit; running out of tries is UNCERTAIN."""
    async with open_session(FakeMachine(inspect_s=math.inf)) as session:
        error = await session.refused()
        assert trio.current_time() == 16
    assert isinstance(error, NotLoggedIn)
    assert (error.verdict.state, error.verdict.tries) == (LoginState.UNCERTAIN, 2)


@pytest.mark.parametrize(
    ("field", "error"),
    [
        ("clone_error", ProfileLocked()),
        ("clone_error", CloneFailed("No space left")),
        ("launch_error", EngineUnavailable("It does not start")),
        ("navigate_error", UpstreamUnreachable("HTTP 500")),
    ],
    ids=["locked", "disk full", "launch fails", "unreachable"],
)
async def test_failing_step_reaches_the_caller(
    autojump_clock: MockClock, field: str, error: GreenroomError
) -> None:
    """A typed error in any step refuses the session and gives its end reason."""
    machine = FakeMachine()
    setattr(machine, field, error)
    async with open_session(machine) as session:
        assert await session.refused() is error
    assert session.reason is error.reason is EndReason.FAILED
    assert session.events[-1].error is error


@pytest.mark.parametrize("field", ["clone_error", "launch_error", "navigate_error"])
async def test_unforeseen_exception_ends_the_session_as_an_internal_failure(
    autojump_clock: MockClock, field: str
) -> None:
    """An unforeseen error stays in its session. It is wrapped, with its cause for the log."""
    machine = FakeMachine()
    setattr(machine, field, KeyError("secret"))
    async with open_session(machine) as session:
        error = await session.refused()
    assert isinstance(error, InternalFailure)
    assert isinstance(error.__cause__, KeyError)
    assert "secret" not in str(error)


@pytest.mark.parametrize("state", [s for s in NOT_ENDING if s is not SessionState.CLONING])
async def test_lost_browser_ends_the_session_in_every_state(
    autojump_clock: MockClock, state: SessionState
) -> None:
    """A dead browser is noticed without a request, and its clone goes with it."""
    machine = stuck_in(state)
    async with open_session(machine) as session:
        await reach(session, state)
        machine.browsers["a"].crash()
        started = trio.current_time()
        if state is not SessionState.LIVE:
            assert isinstance(await session.refused(), BrowserLost)
        await session.ended.wait()
        assert trio.current_time() == started
    assert session.reason is EndReason.BROWSER_LOST
    assert isinstance(session.events[-1].error, BrowserLost)


@pytest.mark.parametrize("state", CREATING)
async def test_caller_that_leaves_cancels_the_creation_in_every_state(
    autojump_clock: MockClock, state: SessionState
) -> None:
    """Nobody waits for the session any longer, so it ends at once."""
    async with open_session(stuck_in(state)) as session:
        await reach(session, state)
        started = trio.current_time()
        session.reply.close()
        session.caller.leave()
        await session.ended.wait()
        assert trio.current_time() == started
    assert session.reason is EndReason.CALLER_LEFT


async def test_caller_gone_at_the_moment_of_the_answer_ends_the_session(autojump_clock: MockClock) -> None:
    """A live session that no caller receives is not kept."""
    async with open_session(FakeMachine()) as session:
        session.reply.close()
        await session.ended.wait()
        assert trio.current_time() < 1
    assert session.reason is EndReason.CALLER_LEFT


@pytest.mark.parametrize("state", NOT_ENDING)
async def test_deletion_is_answered_when_everything_is_gone_in_every_state(
    autojump_clock: MockClock, state: SessionState
) -> None:
    """The deletion returns once the browser and the clone are gone."""
    machine = stuck_in(state)
    machine.remove_s = 2
    async with open_session(machine) as session:
        await reach(session, state)
        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            if state is not SessionState.LIVE:
                nursery.start_soon(_expect_refusal, session, SessionDeleted)
            await session.actor.handle.end()
        assert trio.current_time() == started + 2
        assert (machine.clones, machine.browsers) == (set(), {})
    assert session.reason is EndReason.DELETED


async def _expect_refusal(session: Session, kind: type[GreenroomError]) -> None:
    assert isinstance(await session.refused(), kind)


async def test_second_deletion_while_ending_is_answered_too(autojump_clock: MockClock) -> None:
    """A session that is already ending answers every deletion. The first reason stays."""
    async with open_session(FakeMachine(close_s=3)) as session:
        await session.established()
        async with trio.open_nursery() as nursery:
            await session.actor.handle.ask_to_end(EndReason.SHUTDOWN)
            for _ in range(2):
                nursery.start_soon(session.actor.handle.end)
                await trio.sleep(1)
        assert trio.current_time() == 3
    assert session.reason is EndReason.SHUTDOWN


@pytest.mark.parametrize("state", [*NOT_ENDING, SessionState.ENDING])
async def test_cancellation_from_outside_cleans_up_in_every_state(
    autojump_clock: MockClock, state: SessionState
) -> None:
    """When the whole nursery is cancelled, a session still cleans up, within its time limits."""
    machine = stuck_in(state)
    machine.remove_s, machine.close_s = 1, math.inf
    with trio.CancelScope() as outside:
        async with open_session(machine, max_duration_s=10) as session:
            if state is SessionState.ENDING:
                await session.established()
                await trio.sleep(10.5)
                assert session.states[-1] is state
            else:
                await reach(session, state)
            outside.cancel()
    assert outside.cancelled_caught
    assert session.states[-2:] == [SessionState.ENDING, SessionState.ENDED]
    assert session.reason is (EndReason.EXPIRED if state is SessionState.ENDING else EndReason.SHUTDOWN)
    assert (machine.clones, machine.browsers) == (set(), {})


async def test_shutdown_during_creation_reaches_the_caller(autojump_clock: MockClock) -> None:
    """A creation that the supervisor's end cuts short is refused for that reason."""
    async with open_session(FakeMachine(launch_s=math.inf)) as session:
        await session.actor.handle.ask_to_end(EndReason.SHUTDOWN)
        assert isinstance(await session.refused(), SupervisorStopped)


async def test_failing_cleanup_is_logged_and_keeps_the_first_reason(autojump_clock: MockClock) -> None:
    """A clone that can't be removed is reported to the operator, but is not why the session ended."""
    machine = FakeMachine(remove_error=CloneFailed("The clone can't be removed", detail="EBUSY"))
    with capture_logs() as logs:
        async with open_session(machine, max_duration_s=5) as session:
            await session.established()
            await session.ended.wait()
    assert session.reason is EndReason.EXPIRED
    assert [(line["event"], line["detail"]) for line in logs] == [("cleaning up failed", "EBUSY")]


async def test_ended_session_has_a_receipt(autojump_clock: MockClock) -> None:
    """It says why the session ended, how long each phase took, which processes ended, and what was freed."""
    async with open_session(FakeMachine(close_s=1), max_duration_s=60) as session:
        live = await session.established()
        assert live.receipt is None
        await session.ended.wait()
    assert session.actor.info().receipt == Receipt(
        reason=EndReason.EXPIRED,
        phase_ms=session.actor.info().phase_ms,
        processes=ProcessCount(politely=2),
        bytes_freed=40 << 20,
    )


@pytest.mark.parametrize("field", ["clone_error", "launch_error"])
async def test_refused_creation_has_a_receipt_of_what_there_was(
    autojump_clock: MockClock, field: str
) -> None:
    """It accounts for what was begun, and for nothing else."""
    machine = FakeMachine()
    setattr(machine, field, CloneFailed("No space left"))
    async with open_session(machine) as session:
        await session.refused()
    receipt = session.actor.info().receipt
    assert receipt is not None
    killed = 0 if field == "clone_error" else 2
    assert receipt.processes == ProcessCount(by_force=killed)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(memory_bytes=2 << 30, processes=2, disk_bytes=0),
        Usage(memory_bytes=0, processes=21, disk_bytes=0),
        Usage(memory_bytes=0, processes=2, disk_bytes=2 << 30),
    ],
    ids=["memory", "processes", "disk"],
)
async def test_session_over_its_budget_ends_at_the_next_sample(
    autojump_clock: MockClock, usage: Usage
) -> None:
    """A breach ends the session, and the error names it."""
    machine = FakeMachine()
    async with open_session(machine) as session:
        await session.established()
        await trio.sleep(SAMPLE_S + 1)
        assert session.actor.info().usage == machine.usage
        machine.usage = usage
        await session.ended.wait()
        assert trio.current_time() == 2 * SAMPLE_S
    assert session.reason is EndReason.OVER_BUDGET
    assert isinstance(session.events[-1].error, OverBudget)


async def test_creation_over_its_budget_is_refused(autojump_clock: MockClock) -> None:
    """A browser that uses too much while it launches is ended at once."""
    machine = FakeMachine(launch_s=math.inf)
    machine.usage = Usage(memory_bytes=2 << 30, processes=2, disk_bytes=0)
    async with open_session(machine) as session:
        assert isinstance(await session.refused(), OverBudget)
        assert trio.current_time() == SAMPLE_S
