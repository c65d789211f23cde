"""Creations with a key: one session, however often it is requested."""

import contextlib
import gc
import traceback
import tracemalloc

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from greenroom import (
    CapacityExhausted,
    SessionEvent,
    SessionInfo,
    SessionState,
    Supervisor,
    SupervisorConfig,
    SupervisorStopped,
    open_supervisor,
)
from greenroom.actors.errors import GreenroomError, InternalFailure, NotLoggedIn, ProfileLocked
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginReason, LoginState, Method, Verdict
from greenroom.supervisor.idempotency import Creation
from greenroom.supervisor.remembered import KEEP, KEEP_S

VERDICT = Verdict(
    state=LoginState.LOGGED_OUT, reason=LoginReason.LOGIN_BUTTON, method=Method.HTML, elapsed_ms=120
)
CONFIG = SupervisorConfig(warm_sessions=0, max_launching=10, max_sessions=2)


async def create_into(supervisor: Supervisor, key: str, sessions: list[SessionInfo]) -> None:
    sessions.append(await supervisor.create_session(key))


async def test_same_key_gives_the_same_session_at_once_and_later(autojump_clock: MockClock) -> None:
    """Two requests at once and one later, even after the session's end: one creation."""
    machine = FakeMachine(launch_s=3)
    sessions: list[SessionInfo] = []
    async with open_supervisor(CONFIG, machine=machine) as supervisor:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(create_into, supervisor, "k", sessions)
        await supervisor.end_session(sessions[0].id)
        sessions.append(await supervisor.create_session("k"))
        assert len({session.id for session in sessions}) == 1
        assert (await supervisor.create_session("other")).id != sessions[0].id


async def test_same_key_gives_the_same_refusal(autojump_clock: MockClock) -> None:
    """A creation that failed is not tried again under its key."""
    machine = FakeMachine(clone_error=ProfileLocked())
    async with open_supervisor(CONFIG, machine=machine) as supervisor:
        with pytest.raises(ProfileLocked):
            await supervisor.create_session("k")
        machine.clone_error = None
        with pytest.raises(ProfileLocked):
            await supervisor.create_session("k")


async def test_request_that_was_not_served_is_served_when_it_is_repeated(autojump_clock: MockClock) -> None:
    """A refusal for lack of room is not remembered, because nothing was done."""
    async with open_supervisor(CONFIG, machine=FakeMachine()) as supervisor:
        first = await supervisor.create_session("1")
        await supervisor.create_session("2")
        with pytest.raises(CapacityExhausted):
            await supervisor.create_session("3")
        await supervisor.end_session(first.id)
        await supervisor.create_session("3")


async def test_creation_goes_on_while_anybody_waits_for_it(autojump_clock: MockClock) -> None:
    """If one of two callers hangs up, the other gets the session. If both do, there is no session."""
    machine = FakeMachine(launch_s=3)
    sessions: list[SessionInfo] = []
    async with open_supervisor(CONFIG, machine=machine) as supervisor:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(create_into, supervisor, "k", sessions)
            with trio.move_on_after(1):
                await supervisor.create_session("k")
        assert len(sessions) == 1
        with trio.move_on_after(1):
            await supervisor.create_session("gone")
        await wait_all_tasks_blocked()
        assert len(machine.browsers) == 1
        await supervisor.create_session("gone")
        assert len(machine.browsers) == 2


async def test_outcome_is_forgotten_after_a_while(autojump_clock: MockClock) -> None:
    """After 15 minutes the key counts as new."""
    async with open_supervisor(CONFIG, machine=FakeMachine()) as supervisor:
        first = await supervisor.create_session("k")
        await trio.sleep(KEEP_S + 1)
        assert (await supervisor.create_session("k")).id != first.id


async def test_key_after_the_supervisor_is_refused_each_time() -> None:
    """A caller who comes too late gets an error and doesn't wait forever."""
    async with open_supervisor(CONFIG, machine=FakeMachine()) as supervisor:
        pass
    for _ in range(2):
        with trio.fail_after(5), pytest.raises(SupervisorStopped):
            await supervisor.create_session("k")


async def test_refusal_given_often_does_not_grow(autojump_clock: MockClock) -> None:
    """The error that is kept for a key holds no references to its callers."""
    async with open_supervisor(CONFIG, machine=FakeMachine(clone_error=ProfileLocked())) as supervisor:
        lengths = []
        for _ in range(20):
            with pytest.raises(ProfileLocked) as caught:
                await supervisor.create_session("k")
            lengths.append(len(list(traceback.walk_tb(caught.value.__traceback__))))
    assert lengths[1] == lengths[-1]


async def test_session_that_all_callers_just_left_is_there_for_the_next(autojump_clock: MockClock) -> None:
    """Hanging up at the very moment of the answer doesn't cause a second session."""
    machine = FakeMachine(launch_s=3)
    async with open_supervisor(CONFIG, machine=machine) as supervisor:
        with trio.move_on_after(3):
            await supervisor.create_session("k")
        await supervisor.create_session("k")
        assert len(machine.browsers) == 1


async def test_answer_that_nobody_took_is_there_for_the_next_caller(autojump_clock: MockClock) -> None:
    """All callers hang up while the session goes live, when the answer has been given but not received."""
    machine = FakeMachine(launch_s=3)
    waiting = trio.CancelScope()

    def hang_up(event: SessionEvent) -> None:
        if event.session.state is SessionState.LIVE:
            waiting.cancel()

    async with open_supervisor(CONFIG, machine=machine, subscriber=hang_up) as supervisor:
        with waiting:
            await supervisor.create_session("k")
        assert waiting.cancelled_caught
        session = await supervisor.create_session("k")
        assert (trio.current_time(), list(machine.browsers)) == (3, [session.id])


@pytest.mark.parametrize("refused", [False, True], ids=["sessions", "refusals"])
async def test_ten_thousand_long_keys_take_little_memory(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    """An outcome takes two kilobytes, however long the key and whatever a refusal's traceback held."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT if refused else LoginState.LOGGED_IN)
    async with open_supervisor(CONFIG, machine=machine) as supervisor:
        sample = await outcome_of(supervisor)

        async def result(_: Creation) -> SessionInfo:
            ballast = bytearray(20_000)
            if isinstance(sample, GreenroomError):
                raise NotLoggedIn(VERDICT) from RuntimeError(ballast)
            return attrs.evolve(sample, phase_ms=dict(sample.phase_ms))

        monkeypatch.setattr(Creation, "result", result)
        tracemalloc.start()
        try:
            for number in range(1000):
                with contextlib.suppress(NotLoggedIn):
                    await supervisor.create_session(f"{number:0247}")
            gc.collect()
            taken, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert taken / 1000 * KEEP < 20e6


async def outcome_of(supervisor: Supervisor) -> SessionInfo | GreenroomError:
    try:
        return await supervisor.create_session("k")
    except GreenroomError as exc:
        return exc


async def test_kept_refusal_is_the_same_without_its_causes(autojump_clock: MockClock) -> None:
    """A repeated request gets the same message, but an error object of its own."""
    cause = RuntimeError("a defect")
    async with open_supervisor(CONFIG, machine=FakeMachine(clone_error=cause)) as supervisor:
        errors = []
        for _ in range(2):
            with pytest.raises(InternalFailure) as caught:
                await supervisor.create_session("k")
            errors.append(caught.value)
    first, second = errors
    assert first is not second
    assert (first.id, str(first), first.detail) == (second.id, str(second), second.detail)
    assert (second.__cause__, second.__context__) == (None, None)
