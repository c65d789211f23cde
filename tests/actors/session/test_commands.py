"""Commands to a session, and its handle's promises: one answer each, and nothing is held up."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from greenroom.actors.commands import Command, Probe
from greenroom.actors.errors import (
    BrowserLost,
    CleanupIncomplete,
    CloneFailed,
    GreenroomError,
    InternalFailure,
    SessionEnded,
    SessionNotLive,
    TooManyCommands,
    UpstreamUnreachable,
)
from greenroom.actors.lifecycle import EndReason, SessionState
from greenroom.actors.machine.ports import Browser
from greenroom.actors.session.actor import SessionActor
from greenroom.actors.session.mailbox import SessionHandle
from greenroom.actors.session.running import MAX_WAITING
from greenroom.actors.testing import FakeMachine
from tests.actors.session.test_actor import CREATING, Session, open_session, reach, stuck_in

FOR_EVER = 1e6
DEFECT = RuntimeError("nobody foresaw this")


@attrs.define(eq=False)
class Work:
    """A command that takes some time, then fails or returns its name. It records what happened to it."""

    seconds: float = 0
    name: str = "done"
    error: Exception | None = None
    slow_to_cancel_s: float = 0
    began: trio.Event = attrs.field(factory=trio.Event)
    cancelled_at: float | None = None
    is_over: bool = False

    async def apply(self, browser: Browser) -> str:
        await browser.probe()
        self.began.set()
        try:
            await trio.sleep(self.seconds)
        except trio.Cancelled:
            self.cancelled_at = trio.current_time()
            with trio.CancelScope(shield=True):
                await trio.sleep(self.slow_to_cancel_s)
            raise
        finally:
            self.is_over = True
        if self.error is not None:
            raise self.error
        return self.name


@attrs.define(eq=False)
class Asked:
    """The outcome of one `run`: its result or error, and when it came."""

    answer: str | GreenroomError | None = None
    at: float | None = None

    async def ask(self, handle: SessionHandle, command: Command[str]) -> None:
        assert self.at is None
        try:
            self.answer = await handle.run(command)
        except GreenroomError as exc:
            self.answer = exc
        self.at = trio.current_time()


@asynccontextmanager
async def live_session(machine: FakeMachine | None = None, **spec: Any) -> AsyncIterator[Session]:
    async with open_session(machine or FakeMachine(), **spec) as session:
        await session.established()
        yield session


async def test_command_on_a_live_session_returns_its_result(autojump_clock: MockClock) -> None:
    """The command gets the session's browser, takes its time, and the session goes on."""
    async with live_session(FakeMachine(probe_s=2), max_duration_s=60) as session:
        assert await session.actor.handle.run(Work(seconds=3, name="a title")) == "a title"
        assert trio.current_time() == 5
        await session.actor.handle.run(Probe())
        assert trio.current_time() == 7
        assert session.actor.handle.info().state is SessionState.LIVE
        info = await session.actor.handle.wait_ended()
        assert trio.current_time() == 60
    assert info == session.actor.handle.info() == session.events[-1].session
    assert info.reason is EndReason.EXPIRED


async def test_commands_hold_up_neither_the_mailbox_nor_the_deadline(autojump_clock: MockClock) -> None:
    """While one never ends, the session expires on time, or ends at once when told to."""
    for is_deleted in (False, True):
        async with live_session(max_duration_s=60) as session, trio.open_nursery() as nursery:
            started, asked, waiting = trio.current_time(), Asked(), Asked()
            nursery.start_soon(asked.ask, session.actor.handle, Work(seconds=FOR_EVER))
            await wait_all_tasks_blocked()
            nursery.start_soon(waiting.ask, session.actor.handle, Work())
            await trio.sleep(1)
            if is_deleted:
                await session.actor.handle.end()
            await session.ended.wait()
            assert trio.current_time() == started + (1 if is_deleted else 60)
        for one in (asked, waiting):
            assert isinstance(one.answer, SessionEnded)
            assert one.answer.end_reason is (EndReason.DELETED if is_deleted else EndReason.EXPIRED)
            assert (one.answer.session_id, one.at) == ("a", trio.current_time())


async def test_commands_run_one_at_a_time_in_order_of_arrival(autojump_clock: MockClock) -> None:
    """Each begins when the one before it is over."""
    async with live_session() as session, trio.open_nursery() as nursery:
        asked = [Asked() for _ in range(4)]
        for number, one in enumerate(asked):
            nursery.start_soon(one.ask, session.actor.handle, Work(seconds=5, name=str(number)))
            await wait_all_tasks_blocked()
        await trio.sleep(21)
        assert [(one.answer, one.at) for one in asked] == [("0", 5), ("1", 10), ("2", 15), ("3", 20)]
        await session.actor.handle.end()


async def test_command_beyond_the_queue_is_refused_until_another_leaves_it(autojump_clock: MockClock) -> None:
    """It is refused at once, and hurts no other. A caller that leaves frees its place."""
    async with live_session() as session, trio.open_nursery() as nursery:
        handle, asked = session.actor.handle, [Asked() for _ in range(MAX_WAITING)]
        nursery.start_soon(Asked().ask, handle, Work(seconds=100))
        await wait_all_tasks_blocked()
        with trio.CancelScope() as leaving:
            async with trio.open_nursery() as callers:
                for one in asked:
                    callers.start_soon(one.ask, handle, Work())
                await wait_all_tasks_blocked()
                with pytest.raises(TooManyCommands) as refused:
                    await handle.run(Probe())
                assert refused.value.retry_after_s > 0
                assert trio.current_time() == 0
                leaving.cancel()
        await wait_all_tasks_blocked()
        assert await handle.run(Work(name="in time")) == "in time"
        assert trio.current_time() == 100
        await handle.end()


async def test_command_that_fails_fails_alone(autojump_clock: MockClock) -> None:
    """The caller gets the error, with the session's id. Other commands and the session go on."""
    async with live_session() as session, trio.open_nursery() as nursery:
        handle, other = session.actor.handle, Asked()
        nursery.start_soon(other.ask, handle, Work(seconds=10))
        with pytest.raises(UpstreamUnreachable) as failed:
            await handle.run(Work(seconds=1, error=UpstreamUnreachable("HTTP 500")))
        assert (failed.value.session_id, failed.value.phase) == ("a", "live")
        await trio.sleep(20)
        assert other.answer == "done"
        assert handle.info().state is SessionState.LIVE
        await handle.end()


@pytest.mark.parametrize("at_once", [False, True])
async def test_command_with_a_defect_is_an_internal_failure_logged_once(
    autojump_clock: MockClock, at_once: bool
) -> None:
    """This includes one that fails before its first await. The log has the answer's id and the cause."""

    class Broken:
        def apply(self, browser: Browser) -> Coroutine[Any, Any, str]:  # noqa: ARG002  # the protocol's signature
            raise DEFECT

    with capture_logs() as logs:
        async with live_session() as session:
            command: Command[str] = Broken() if at_once else Work(seconds=1, error=DEFECT)
            with pytest.raises(InternalFailure) as failed:
                await session.actor.handle.run(command)
            assert session.actor.handle.info().state is SessionState.LIVE
            await session.actor.handle.end()
    [line] = logs
    assert (line["event"], line["error_id"], line["session_id"]) == ("a command failed", failed.value.id, "a")
    assert line["command"] == ("Broken" if at_once else "Work")
    assert line["exc_info"] is DEFECT


async def test_caller_who_leaves_cancels_that_command_alone(autojump_clock: MockClock) -> None:
    """It is cancelled at once. The next command has its turn as soon as the cancelled one has stopped."""
    async with live_session() as session, trio.open_nursery() as nursery:
        other, left = Asked(), Work(seconds=FOR_EVER, slow_to_cancel_s=3)
        with trio.move_on_after(2):
            nursery.start_soon(_ask_later, other, session.actor.handle)
            await session.actor.handle.run(left)
        assert trio.current_time() == 2
        await wait_all_tasks_blocked()
        assert left.cancelled_at == 2
        await trio.sleep(10)
        assert (other.answer, other.at) == ("done", 10)
        await session.actor.handle.end()


async def _ask_later(asked: Asked, handle: SessionHandle) -> None:
    await trio.sleep(1)
    await asked.ask(handle, Work(seconds=5))


async def test_caller_who_leaves_at_the_moment_of_the_answer_hurts_nobody(autojump_clock: MockClock) -> None:
    """Nobody takes the answer, and nothing is logged."""
    with capture_logs() as logs:
        async with live_session() as session:
            with trio.move_on_after(2):
                await session.actor.handle.run(Work(seconds=2))
            assert session.actor.handle.info().state is SessionState.LIVE
            await session.actor.handle.end()
    assert logs == []


@pytest.mark.parametrize("state", CREATING)
async def test_session_that_is_not_live_yet_refuses_commands_with_its_state(
    autojump_clock: MockClock, state: SessionState
) -> None:
    """It refuses at once instead of waiting until it is live. The creation goes on."""
    async with open_session(stuck_in(state)) as session:
        await reach(session, state)
        started = trio.current_time()
        with pytest.raises(SessionNotLive, match=state.value) as refused:
            await session.actor.handle.run(Probe())
        assert (refused.value.session_id, refused.value.phase) == ("a", state.value)
        assert trio.current_time() == started
        assert session.actor.handle.info().reason is None


@pytest.mark.parametrize("state", [SessionState.ENDING, SessionState.ENDED])
async def test_session_that_ends_or_has_ended_says_why(
    autojump_clock: MockClock, state: SessionState
) -> None:
    """This includes a session whose browser is still closing. You may end it again."""
    async with live_session(FakeMachine(close_s=3), max_duration_s=10) as session:
        handle = session.actor.handle
        await trio.sleep(11)
        if state is SessionState.ENDED:
            await handle.wait_ended()
        started = trio.current_time()
        with pytest.raises(SessionEnded) as refused:
            await handle.run(Probe())
        assert trio.current_time() == started
        assert (refused.value.end_reason, refused.value.phase) == (EndReason.EXPIRED, state.value)
        await handle.end()
        assert handle.info().state is SessionState.ENDED
        assert trio.current_time() == 13


async def test_commands_are_cut_off_before_the_browser_is_closed(autojump_clock: MockClock) -> None:
    """They are answered and cancelled first. One that is slow to stop doesn't delay the cleanup."""
    machine = FakeMachine(close_s=2)
    async with live_session(machine, max_duration_s=10) as session, trio.open_nursery() as nursery:
        asked, work = Asked(), Work(seconds=FOR_EVER, slow_to_cancel_s=20)
        (browser,) = machine.browsers.values()
        nursery.start_soon(asked.ask, session.actor.handle, work)
        await trio.sleep(11)
        assert isinstance(asked.answer, SessionEnded)
        assert (asked.at, work.cancelled_at, browser.closed_politely) == (10, 10, False)
        await trio.sleep(2)
        assert browser.closed_politely
        assert (machine.clones, machine.browsers) == (set(), {})
        assert session.states[-1] is SessionState.ENDED


@pytest.mark.parametrize("finder", ["the command", "the session"])
async def test_lost_browser_ends_the_session_and_all_its_commands(
    autojump_clock: MockClock, finder: str
) -> None:
    """Whoever notices the loss first, each command's answer is that the session ended, and why."""
    machine = FakeMachine()
    async with live_session(machine) as session, trio.open_nursery() as nursery:
        asked = [Asked(), Asked()]
        error = BrowserLost("The browser was lost") if finder == "the command" else None
        nursery.start_soon(asked[0].ask, session.actor.handle, Work(seconds=5, error=error))
        await wait_all_tasks_blocked()
        nursery.start_soon(asked[1].ask, session.actor.handle, Work(seconds=FOR_EVER))
        if finder == "the session":
            await trio.sleep(1)
            machine.browsers["a"].crash()
        await session.ended.wait()
    for one in asked:
        assert isinstance(one.answer, SessionEnded)
        assert one.answer.end_reason is EndReason.BROWSER_LOST
    assert session.reason is EndReason.BROWSER_LOST
    assert isinstance(session.events[-1].error, BrowserLost)


async def test_cancellation_from_outside_answers_every_command(autojump_clock: MockClock) -> None:
    """Callers outside the cancelled nursery don't wait forever."""
    asked = Asked()
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as outside:
            async with live_session(FakeMachine(remove_s=5)) as session:
                nursery.start_soon(asked.ask, session.actor.handle, Work(seconds=FOR_EVER))
                await trio.sleep(1)
                outside.cancel()
    assert isinstance(asked.answer, SessionEnded)
    assert (asked.answer.end_reason, asked.at) == (EndReason.SHUTDOWN, 1)


async def test_end_that_leaves_something_says_so_each_time(autojump_clock: MockClock) -> None:
    """That includes callers that come after the end."""
    machine = FakeMachine(remove_error=CloneFailed("It can't be removed"), keeps_clones=True)
    with capture_logs():
        async with live_session(machine) as session:
            for _ in range(2):
                with pytest.raises(CleanupIncomplete) as incomplete:
                    await session.actor.handle.end()
                assert (incomplete.value.session_id, incomplete.value.phase) == ("a", "ending")
            machine.clones.clear()


async def test_cancelling_a_wait_for_the_end_still_ends_the_session(autojump_clock: MockClock) -> None:
    """Cancelling `end` doesn't keep the session alive."""
    async with live_session(FakeMachine(close_s=3)) as session:
        with trio.move_on_after(1):
            await session.actor.handle.end()
        assert (await session.actor.handle.wait_ended()).reason is EndReason.DELETED
        assert trio.current_time() == 3


@pytest.mark.parametrize("name", ["end", "wait_ended", "run"])
async def test_session_that_does_not_read_its_mailbox_leaves_no_caller_waiting(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The failure ends the session, and everybody who waits for it learns of that."""

    async def fail(*_args: object) -> NoReturn:
        await trio.sleep(1)
        raise DEFECT

    monkeypatch.setattr(SessionActor, "_read_mailbox", fail)
    async with open_session(FakeMachine(launch_s=5)) as session:
        handle = session.actor.handle
        with trio.fail_after(5):
            if name == "run":
                with pytest.raises(SessionEnded):
                    await handle.run(Probe())
            else:
                await (handle.end() if name == "end" else handle.wait_ended())
        assert handle.info().reason is EndReason.FAILED
