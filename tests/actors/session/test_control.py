"""Who may act in a live session: programs, or the person who has taken control."""

import math
from collections.abc import AsyncGenerator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from greenroom.actors.actions.actions import Action, Click, Navigate, Press, Type
from greenroom.actors.actions.inputs import Key, Mouse, Release, Text
from greenroom.actors.actions.readings import Fetch, Html
from greenroom.actors.commands import Act, PutFile, Read
from greenroom.actors.errors import ActionTimedOut, BrowserLost, ControlHeld, SessionEnded, SessionNotLive
from greenroom.actors.events import ActionNote, EventKind
from greenroom.actors.lifecycle import EndReason, SessionState
from greenroom.actors.session.control import MAX_TTL_S
from greenroom.actors.session.mailbox import SessionHandle
from greenroom.actors.testing import FakeMachine
from tests.actors.session.test_actor import CREATING, Session, open_session, reach, stuck_in
from tests.actors.session.test_commands import Work, live_session


async def _pieces() -> AsyncGenerator[bytes]:
    yield b"content"


CLICK = Act((Click(target="e5"),))


def kinds_of(session: Session) -> list[EventKind]:
    return [event.kind for event in session.events if event.kind is not EventKind.STATE]


async def test_person_takes_control_and_hands_it_back(autojump_clock: MockClock) -> None:
    """Meanwhile programs can't act but read. The session shows who has control; its receipt, who had it."""
    async with live_session() as session:
        handle = session.actor.handle
        lease = await handle.take_control("Ada", 60)
        assert handle.info().control == lease.held
        assert lease.held.by == "Ada"
        with pytest.raises(ControlHeld) as refused:
            await handle.run(CLICK)
        assert (refused.value.held, refused.value.index, refused.value.session_id) == (lease.held, 0, "a")
        with pytest.raises(ControlHeld):
            await handle.run(Read(Fetch(url="https://example.test/like", method="POST")))
        await handle.run(Read(Html()))
        await handle.run(CLICK, lease=lease.token)
        info = await handle.give_back_control(lease.token)
        assert info.control is None
        await handle.run(CLICK)
        await handle.end()
        receipt = handle.info().receipt
        assert receipt is not None
        assert [(held.by, held.since) for held in receipt.held] == [("Ada", lease.held.since)]
        assert kinds_of(session).count(EventKind.CONTROL) == 2


async def test_control_returns_by_itself_when_its_time_is_over(autojump_clock: MockClock) -> None:
    """And everybody is told then, not when somebody next asks."""
    async with live_session() as session:
        handle = session.actor.handle
        await handle.take_control("Ada", 10)
        await trio.sleep(9.9)
        assert handle.info().control is not None
        await trio.sleep(0.2)
        assert handle.info().control is None
        assert kinds_of(session) == [EventKind.CONTROL] * 2
        await handle.run(CLICK)
        await handle.end()


async def test_lease_can_be_renewed_by_its_holder_only(autojump_clock: MockClock) -> None:
    """It lasts for as long as asked for, from then on; an hour at most. Another person has to wait."""
    async with live_session(max_duration_s=9000) as session:
        handle = session.actor.handle
        lease = await handle.take_control("Ada", 10)
        with pytest.raises(ControlHeld):
            await handle.take_control("Bob", 10)
        with pytest.raises(ControlHeld):
            await handle.take_control("Bob", 10, "guessed")
        await trio.sleep(5)
        again = await handle.take_control("Bob", math.inf, lease.token)
        assert kinds_of(session) == [EventKind.CONTROL]  # who has control is the same
        assert (again.token, again.held.by, again.held.since) == (lease.token, "Ada", lease.held.since)
        await trio.sleep(MAX_TTL_S - 1)
        assert handle.info().control is not None
        await trio.sleep(2)
        assert handle.info().control is None
        await handle.take_control("Bob", 10)
        with pytest.raises(ControlHeld):
            await handle.give_back_control(lease.token)
        assert (await handle.give_back_control()).control is None  # as an operator may
        assert (await handle.give_back_control()).control is None
        await handle.end()


async def test_command_that_waits_goes_on_when_programs_have_control(autojump_clock: MockClock) -> None:
    """Before its first action or between two. Meanwhile it keeps nobody from reading."""
    machine = FakeMachine(action_s=5)
    async with live_session(machine) as session, trio.open_nursery() as nursery:
        handle, done = session.actor.handle, []

        async def act() -> None:
            await handle.run(Act((Click(target="e1"), Click(target="e2"))), waits_for_control=True)
            done.append(trio.current_time())

        nursery.start_soon(act)
        await trio.sleep(1)
        lease = await handle.take_control("Ada", 30)
        await trio.sleep(5)  # the first action is over
        machine.action_s = 0
        await handle.run(Read(Html()))
        assert trio.current_time() == 6
        await trio.sleep(4)
        await handle.give_back_control(lease.token)
        await wait_all_tasks_blocked()
        assert done == [10]
        await handle.end()


@pytest.mark.parametrize("is_ended", [False, True], ids=["asker leaves", "session ends"])
async def test_wait_for_control_can_be_given_up(autojump_clock: MockClock, is_ended: bool) -> None:
    """The others get their turn, and the session its end."""
    async with live_session() as session, trio.open_nursery() as nursery:
        handle, errors = session.actor.handle, []
        await handle.take_control("Ada", 300)

        async def act() -> None:
            try:
                await handle.run(CLICK, waits_for_control=True)
            except SessionEnded as exc:
                errors.append(exc)

        nursery.start_soon(act)
        await wait_all_tasks_blocked()
        if is_ended:
            await handle.end()
        else:
            nursery.cancel_scope.cancel()
    if not is_ended:
        await session.ended.wait()
    assert len(errors) == is_ended
    assert session.reason is (EndReason.DELETED if is_ended else EndReason.EXPIRED)


async def test_actions_of_a_program_stop_at_the_next_one(autojump_clock: MockClock) -> None:
    """The one under way is finished, and the error says what has been done."""
    machine = FakeMachine(action_s=2)
    async with live_session(machine) as session, trio.open_nursery() as nursery:
        handle, refused = session.actor.handle, []

        async def act() -> None:
            with pytest.raises(ControlHeld) as caught:
                await handle.run(Act((Click(target="e1"), Click(target="e2"), Click(target="e3"))))
            refused.append(caught.value)

        nursery.start_soon(act)
        await trio.sleep(3)
        await handle.take_control("Ada", 30)
        await trio.sleep(2)
        (error,) = refused
        assert (error.index, [done.kind for done in error.done]) == (2, ["click"] * 2)
        await handle.end()


async def test_person_acts_by_hand_only_with_control(autojump_clock: MockClock) -> None:
    """Beside a command that runs. Programs, and people whose lease is over, can't."""
    machine = FakeMachine()
    async with live_session(machine) as session, trio.open_nursery() as nursery:
        handle = session.actor.handle
        click = Mouse(action="down", x=1, y=2)
        async with handle.watch("Ada") as watching:
            for lease in (None, "guessed"):
                with pytest.raises(ControlHeld, match="Programs have control"):
                    await watching.do_by_hand(click, lease)
            nursery.start_soon(handle.run, Work(seconds=100))
            token = (await handle.take_control("Ada", 10)).token
            await watching.do_by_hand(click, token)
            await watching.do_by_hand(Text(text="typed"), token)
            with pytest.raises(ControlHeld):
                await watching.do_by_hand(click, None)
            await trio.sleep(11)
            with pytest.raises(ControlHeld, match="Programs have control"):
                await watching.do_by_hand(click, token)
            # What was held down is let go when control ends.
            assert machine.browsers["a"].by_hand == [click, Text(text="typed"), Release()]
            machine.action_error = ActionTimedOut("too slow")
            token = (await handle.take_control("Ada", 10)).token
            with pytest.raises(ActionTimedOut):
                await watching.do_by_hand(Key(key="Enter"), token)
            machine.action_error = BrowserLost("gone")
            with pytest.raises(SessionEnded):
                await watching.do_by_hand(Key(key="Enter"), token)
            machine.action_error = None
            nursery.cancel_scope.cancel()


async def test_hand_keeps_the_session_from_being_idle(autojump_clock: MockClock) -> None:
    """Watching alone does not."""
    async with live_session(idle_timeout_s=10) as session:
        handle = session.actor.handle
        async with handle.watch("Ada") as watching:
            token = (await handle.take_control("Ada", 60)).token
            await trio.sleep(8)
            await watching.do_by_hand(Key(key="Enter"), token)
            await trio.sleep(8)
            assert handle.info().state is SessionState.LIVE
            await session.ended.wait()
    assert (session.reason, trio.current_time()) == (EndReason.IDLE, 18)
    receipt = session.actor.info().receipt
    assert receipt is not None
    assert [held.by for held in receipt.held] == ["Ada"]  # who had control at the end


@pytest.mark.parametrize("state", CREATING)
async def test_control_of_a_session_that_is_not_live_is_refused(
    autojump_clock: MockClock, state: SessionState
) -> None:
    """Before it is live and after its end."""
    async with open_session(stuck_in(state)) as session:
        await reach(session, state)
        handle: SessionHandle = session.actor.handle
        with pytest.raises(SessionNotLive):
            await handle.take_control("Ada", 10)
        with pytest.raises(SessionNotLive):
            await handle.give_back_control()
        await handle.end()
        with pytest.raises(SessionEnded):
            await handle.take_control("Ada", 10)


@pytest.mark.parametrize(
    ("action", "target"),
    [
        (Type(target="#name", text="a secret"), "#name"),
        (Press(key="s"), None),
        (
            Navigate(url="https://user:pw@example.test:8080/a?token=secret#secret"),
            "https://example.test:8080/a",
        ),
        (Navigate(url="https://[secret/"), None),
    ],
)
async def test_each_action_is_told_without_what_was_typed(
    autojump_clock: MockClock, action: Action, target: str | None
) -> None:
    """With its kind, its target, how long it took and its outcome; a failed one, too. Readings are not."""
    machine = FakeMachine(action_s=0.25)
    async with live_session(machine) as session:
        handle = session.actor.handle
        await handle.run(Act((action,)))
        await handle.run(Read(Html()))
        machine.action_error = ActionTimedOut("too slow")
        with pytest.raises(ActionTimedOut):
            await handle.run(Act((action,)))

        await handle.run(PutFile("a", _pieces()))
        kind = str(action.__struct_config__.tag)
        assert [event.action for event in session.events if event.kind is EventKind.ACTION] == [
            ActionNote(kind=kind, target=target, page=None, ms=250, outcome=outcome)
            for outcome in ("ok", "ActionTimedOut")
        ]
        assert "secret" not in repr(session.events)
        await handle.end()


async def test_commands_that_wait_for_control_keep_nobody_else_waiting(autojump_clock: MockClock) -> None:
    """Sixteen may wait; others are refused, and whoever reads or has control goes on."""
    async with live_session() as session, trio.open_nursery() as nursery:
        handle, refused = session.actor.handle, []
        lease = (await handle.take_control("Ada", 60)).token

        async def act() -> None:
            try:
                await handle.run(CLICK, waits_for_control=True)
            except ControlHeld as exc:
                refused.append(exc)

        for _ in range(20):
            nursery.start_soon(act)
            await wait_all_tasks_blocked()
        assert len(refused) == 4
        await handle.run(Read(Html()))
        await handle.run(CLICK, lease=lease)
        await handle.give_back_control(lease)
        await wait_all_tasks_blocked()
        await handle.run(CLICK)
        await handle.end()


async def test_control_whose_end_went_unnoticed_is_in_the_receipt(
    autojump_clock: MockClock,
) -> None:
    """Somebody else may take it at that very moment."""
    async with live_session() as session:
        handle = session.actor.handle
        await handle.take_control("Ada", 10)
        autojump_clock.jump(10)
        await handle.take_control("Eve", 10)
        await handle.end()
        receipt = handle.info().receipt
        assert receipt is not None
        assert [held.by for held in receipt.held] == ["Ada", "Eve"]
