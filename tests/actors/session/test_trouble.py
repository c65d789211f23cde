"""Unforeseen errors beside a session's life and at its end. They end at most that session, and say so."""

from collections.abc import Callable
from typing import Any, NoReturn

import outcome
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from greenroom.actors.errors import (
    CleanupIncomplete,
    CloneFailed,
    CreationTimedOut,
    InternalFailure,
    NotLoggedIn,
    ProfileLocked,
)
from greenroom.actors.lifecycle import EndReason, SessionState
from greenroom.actors.machine.sampler import ScanFailed
from greenroom.actors.session.actor import SessionActor
from greenroom.actors.session.answering import Answer
from greenroom.actors.session.sampling import SAMPLE_S, Sampling
from greenroom.actors.testing import FakeBrowser, FakeMachine, FakeWorkspace
from greenroom.actors.verdict import LoginState
from tests.actors.session.test_actor import CREATING, open_session, reach, stuck_in

NO_THREAD = RuntimeError("can't start new thread")


def fail(*_args: object) -> NoReturn:
    raise NO_THREAD


async def fail_async(*_args: object, **_kwargs: object) -> NoReturn:
    await trio.lowlevel.checkpoint()
    raise NO_THREAD


async def test_live_session_outlives_samples_that_fail(autojump_clock: MockClock) -> None:
    """Without a thread for a sample, one line is logged, and the session is live until its deadline."""
    machine = FakeMachine()
    with capture_logs() as logs:
        async with open_session(machine, max_duration_s=60) as session:
            await session.established()
            machine.sample_error = NO_THREAD
            await trio.sleep(4 * SAMPLE_S + 1)
            machine.sample_error = None
            await trio.sleep(SAMPLE_S)
            assert session.actor.info().usage == machine.usage
            await session.ended.wait()
            assert trio.current_time() == 60
    assert (session.reason, session.actor.error) == (EndReason.EXPIRED, None)
    assert [(line["event"], line["detail"]) for line in logs] == [("samples can't be taken", repr(NO_THREAD))]


async def test_session_does_not_log_that_processes_cant_be_seen(
    autojump_clock: MockClock,
) -> None:
    """The machine's sampler has logged it. The session goes on without samples and logs nothing."""
    machine = FakeMachine()
    with capture_logs() as logs:
        async with open_session(machine, max_duration_s=60) as session:
            await session.established()
            machine.sample_error = ScanFailed("a test")
            await session.ended.wait()
    assert (session.reason, session.actor.error) == (EndReason.EXPIRED, None)
    assert logs == []


@pytest.mark.parametrize(
    ("owner", "task"), [(Sampling, "run"), (SessionActor, "_read_mailbox"), (Answer, "give_in_time")]
)
@pytest.mark.parametrize("is_live", [False, True], ids=["creating", "live"])
async def test_task_beside_the_life_that_fails_ends_that_session_as_failed(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, owner: type, task: str, is_live: bool
) -> None:
    """The error is logged with its cause, and everything is cleaned up."""
    begin = trio.Event()

    async def fail_then(*_args: object) -> NoReturn:
        await begin.wait()
        raise NO_THREAD

    monkeypatch.setattr(owner, task, fail_then)
    machine = FakeMachine(launch_s=0 if is_live else 10)
    async with open_session(machine) as session:
        if is_live:
            await session.established()
        else:
            await reach(session, SessionState.LAUNCHING)
        begin.set()
        await session.ended.wait()
        assert trio.current_time() < 1
        if not is_live:
            assert isinstance(await session.refused(), InternalFailure)
    error = session.events[-1].error
    assert session.reason is EndReason.FAILED
    assert isinstance(error, InternalFailure)
    assert error.__cause__ is NO_THREAD


@pytest.mark.parametrize("step", ["launch", "navigate", "inspect", "measure", "close", "wait_lost", "end"])
async def test_unforeseen_failure_of_any_step_is_the_end_of_that_session_at_most(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The actor's task returns. The caller gets one answer, and nothing is left."""
    owner = FakeWorkspace if step in {"launch", "measure"} else FakeBrowser
    monkeypatch.setattr(owner, step, fail if step == "end" else fail_async)
    with capture_logs():
        async with open_session(FakeMachine(), max_duration_s=20) as session:
            answer = await session.reply.receive()
            await session.ended.wait()
    refused = isinstance(answer, outcome.Error)
    assert refused is (step in {"launch", "navigate", "inspect"})
    assert (session.reason is EndReason.EXPIRED) is (step in {"measure", "close", "end"})


async def test_failure_of_cleanup_together_with_a_cancellation_stays_in_its_session(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a group is not a plain exception. It must not come out of the actor's task."""

    async def hang_and_fail(*_args: object, **_kwargs: object) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_fail_when_cancelled)
            await trio.sleep_forever()

    monkeypatch.setattr(FakeWorkspace, "launch", hang_and_fail)
    with capture_logs():
        async with open_session(FakeMachine()) as session:
            assert isinstance(await session.refused(), CreationTimedOut | InternalFailure)


async def _fail_when_cancelled() -> None:
    try:
        await trio.sleep_forever()
    finally:
        raise NO_THREAD


async def test_receipt_and_session_agree(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are computed at one instant, although time passes between any two looks at the clock."""
    now, ticks = trio.current_time, 0

    def tick() -> float:
        nonlocal ticks
        ticks += 1
        return now() + ticks / 100

    async with open_session(FakeMachine(), max_duration_s=60) as session:
        await session.established()
        monkeypatch.setattr(trio, "current_time", tick)
        await session.ended.wait()
        monkeypatch.undo()
    info = session.actor.info()
    assert info.receipt is not None
    assert info.receipt.phase_ms == info.phase_ms == session.events[-1].session.phase_ms


@pytest.mark.parametrize("moment", ["before", "during", "after"])
async def test_caller_that_leaves_during_a_refusal_is_no_error(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Cleanup has not failed just because nobody waits for the answer any more."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT, remove_s=5)

    async def look_as_the_caller_leaves(browser: FakeBrowser, *args: Any) -> Any:
        leave()
        return await inspect(browser, *args)

    def leave() -> None:
        session.reply.close()
        session.caller.leave()

    inspect = FakeBrowser.inspect
    if moment == "before":
        monkeypatch.setattr(FakeBrowser, "inspect", look_as_the_caller_leaves)
    with capture_logs() as logs:
        async with open_session(machine) as session:
            if moment == "during":
                await reach(session, SessionState.ENDING)
                leave()
            elif moment == "after":
                await session.ended.wait()
                leave()
            await session.ended.wait()
    left_first = moment == "before"
    assert session.reason is (EndReason.CALLER_LEFT if left_first else EndReason.NOT_LOGGED_IN)
    assert [line for line in logs if line["log_level"] != "debug"] == []


async def test_refusal_that_comes_as_the_caller_leaves_is_no_error(autojump_clock: MockClock) -> None:
    """The step fails by itself just as it is cancelled. Neither means that the cleanup failed."""
    machine = FakeMachine()

    async def fail_when_cancelled(*_args: object) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ProfileLocked

    with pytest.MonkeyPatch.context() as patch, capture_logs() as logs:
        patch.setattr(FakeBrowser, "navigate", fail_when_cancelled)
        async with open_session(machine) as session:
            await reach(session, SessionState.NAVIGATING)
            session.caller.leave()
            await session.ended.wait()
    assert session.reason is EndReason.CALLER_LEFT
    assert [line for line in logs if line["log_level"] != "debug"] == []


@pytest.mark.parametrize("state", CREATING)
async def test_timeout_says_which_session_and_in_which_phase(
    autojump_clock: MockClock, state: SessionState
) -> None:
    """The 504 names the session and its phase."""
    async with open_session(stuck_in(state), creation_timeout_s=7) as session:
        error = await session.refused()
    assert isinstance(error, CreationTimedOut)
    assert (error.session_id, error.phase) == ("a", state.value)


@pytest.mark.parametrize(
    ("fields", "phase"),
    [
        ({"clone_error": ProfileLocked()}, "cloning"),
        ({"launch_error": KeyError("x")}, "launching"),
        ({"navigate_error": KeyError("x")}, "navigating"),
        ({"page": LoginState.LOGGED_OUT}, "judging"),
    ],
    ids=["cloning", "launching", "navigating", "judging"],
)
async def test_refusal_says_which_session_and_in_which_phase(
    autojump_clock: MockClock, fields: dict[str, Any], phase: str
) -> None:
    """This holds for foreseen and unforeseen errors."""
    async with open_session(FakeMachine(**fields)) as session:
        error = await session.refused()
    assert (error.session_id, error.phase) == ("a", phase)


async def test_late_cleanup_does_not_change_the_phase_that_a_timeout_names(autojump_clock: MockClock) -> None:
    """The answer comes while the session is ending, but it was the launch that timed out."""
    machine = stuck_in(SessionState.LAUNCHING)
    machine.remove_s = 20
    async with open_session(machine) as session:
        assert (await session.refused()).phase == "launching"


async def test_error_of_a_live_session_names_it_too(autojump_clock: MockClock) -> None:
    """The log gets the id from the event."""
    machine = FakeMachine()
    async with open_session(machine) as session:
        await session.established()
        machine.browsers["a"].crash()
        await session.ended.wait()
    error = session.events[-1].error
    assert error is not None
    assert (error.session_id, error.phase) == ("a", "live")


async def test_leftovers_are_in_the_receipt_and_in_the_answer_to_deletion(
    autojump_clock: MockClock,
) -> None:
    """A clone can't be removed. The deletion says so, and so does the receipt."""
    machine = FakeMachine(remove_error=CloneFailed("It can't be removed"), keeps_clones=True)
    with capture_logs() as logs:
        async with open_session(machine) as session:
            await session.established()
            with pytest.raises(CleanupIncomplete) as incomplete:
                await session.actor.handle.end()
            machine.clones.clear()
    receipt = session.actor.info().receipt
    assert receipt is not None
    assert receipt.left == incomplete.value.left == ("clone", "ledger entry")
    assert incomplete.value.session_id == "a"
    assert "clone" in str(incomplete.value)
    assert "cleanup left something" in {line["event"] for line in logs}


async def test_refused_creation_that_leaves_something_says_so_in_its_receipt(
    autojump_clock: MockClock,
) -> None:
    """The caller learns why there is no session. The rest is in the receipt."""
    machine = FakeMachine(
        page=LoginState.LOGGED_OUT, remove_error=CloneFailed("It can't be removed"), keeps_clones=True
    )
    with capture_logs():
        async with open_session(machine) as session:
            assert isinstance(await session.refused(), NotLoggedIn)
            machine.clones.clear()
    receipt = session.actor.info().receipt
    assert receipt is not None
    assert "clone" in receipt.left


@pytest.mark.parametrize(
    "trouble",
    [
        lambda machine: setattr(machine, "sample_error", NO_THREAD),
        lambda machine: setattr(machine, "survey_s", 1000),
    ],
    ids=["fails", "hangs"],
)
async def test_look_for_what_is_left_that_fails_or_hangs_is_reported_too(
    autojump_clock: MockClock, trouble: Callable[[FakeMachine], None]
) -> None:
    """A session that couldn't look never claims that everything is gone."""
    machine = FakeMachine(remove_error=CloneFailed("It can't be removed"))
    with capture_logs():
        async with open_session(machine) as session:
            await session.established()
            trouble(machine)
            with pytest.raises(CleanupIncomplete):
                await session.actor.handle.end()
            assert trio.current_time() < 10
    receipt = session.actor.info().receipt
    assert receipt is not None
    assert receipt.left == ("unknown",)


async def test_cleanup_that_failed_first_but_left_nothing_is_complete(autojump_clock: MockClock) -> None:
    """Only what is really left counts."""
    machine = FakeMachine(remove_error=CloneFailed("It took a second try"))
    with capture_logs():
        async with open_session(machine) as session:
            await session.established()
            await session.actor.handle.end()
    receipt = session.actor.info().receipt
    assert receipt is not None
    assert receipt.left == ()
