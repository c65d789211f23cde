"""Clients that are attached to a live session: how many, for how long, and what their end does."""

import contextlib
import math

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from greenroom.actors.errors import (
    ActionFailed,
    BrowserLost,
    GreenroomError,
    InternalFailure,
    SessionEnded,
    SessionNotLive,
    TooManyClients,
)
from greenroom.actors.events import EventKind
from greenroom.actors.lifecycle import EndReason, SessionState
from greenroom.actors.relay.attachment import Attachment
from greenroom.actors.session.clients import MAX_CLIENTS
from greenroom.actors.session.mailbox import SessionHandle
from greenroom.actors.testing import FakeMachine
from tests.actors.session.test_actor import CREATING, open_session, reach, stuck_in
from tests.actors.session.test_commands import Work, live_session

DEFECT = RuntimeError("nobody foresaw this")


@attrs.define(eq=False)
class Client:
    """One that stays until its connection is over."""

    attachment: Attachment | None = None
    over_at: float | None = None

    async def stay(self, handle: SessionHandle) -> None:
        async with handle.attach() as self.attachment:
            while await self.attachment.driver.receive():
                pass
            self.over_at = trio.current_time()


async def test_client_stays_attached_until_it_leaves(autojump_clock: MockClock) -> None:
    """The session counts it, says so to its watchers, and goes on afterwards."""
    machine = FakeMachine()
    async with live_session(machine) as session:
        handle = session.actor.handle
        async with handle.attach() as attachment:
            assert machine.browsers["a"].drivers == [attachment.driver]
            assert handle.info().clients == 1
            async with handle.attach():
                assert handle.info().clients == 2
            await wait_all_tasks_blocked()
            assert handle.info().clients == 1
        await wait_all_tasks_blocked()
        assert handle.info().clients == 0
        assert [await driver.receive() for driver in machine.browsers["a"].drivers] == [b"", b""]
        kinds = [event.kind for event in session.events if event.kind is not EventKind.STATE]
        assert kinds == [EventKind.ATTACHED] * 2 + [EventKind.DETACHED] * 2
        assert handle.info().state is SessionState.LIVE
        await handle.end()


async def test_so_many_clients_and_no_more(autojump_clock: MockClock) -> None:
    """One that leaves makes room."""
    async with live_session() as session, contextlib.AsyncExitStack() as stack:
        handle = session.actor.handle
        for _ in range(MAX_CLIENTS):
            await stack.enter_async_context(handle.attach())
        with pytest.raises(TooManyClients, match="8 clients"):
            await stack.enter_async_context(handle.attach())
        await stack.aclose()
        await wait_all_tasks_blocked()
        async with handle.attach():
            pass
        await handle.end()


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_clients_end_with_their_session(is_deleted: bool, autojump_clock: MockClock) -> None:
    """On time, whatever they do: they hold up neither its deadline nor its end."""
    async with live_session(max_duration_s=60) as session, trio.open_nursery() as nursery:
        started, clients = trio.current_time(), [Client(), Client()]
        for client in clients:
            nursery.start_soon(client.stay, session.actor.handle)
        await trio.sleep(1)
        if is_deleted:
            await session.actor.handle.end()
        await session.ended.wait()
        over = started + (1 if is_deleted else 60)
        await wait_all_tasks_blocked()
        assert [client.over_at for client in clients] == [over, over]
    assert session.actor.handle.info().clients == 0


async def test_client_that_closes_the_context_ends_the_session_politely(autojump_clock: MockClock) -> None:
    """The reason says that it was a client."""
    machine = FakeMachine(close_s=2)
    async with live_session(machine) as session:
        browser = machine.browsers["a"]
        async with session.actor.handle.attach() as attachment:
            attachment.end_session()
            info = await session.actor.handle.wait_ended()
        assert info.reason is EndReason.CLOSED_BY_CLIENT
        assert browser.closed_politely
        assert info.receipt is not None
        assert info.receipt.left == ()


async def test_attached_client_keeps_the_session_from_being_idle(autojump_clock: MockClock) -> None:
    """The idle time begins when it leaves."""
    async with live_session(max_duration_s=300, idle_timeout_s=10) as session:
        async with session.actor.handle.attach():
            await trio.sleep(100)
        left = trio.current_time()
        info = await session.actor.handle.wait_ended()
        assert (info.reason, trio.current_time()) == (EndReason.IDLE, left + 10)


async def test_clients_and_commands_do_not_wait_for_each_other(autojump_clock: MockClock) -> None:
    """A client is not a command."""
    async with live_session() as session:
        async with session.actor.handle.attach():
            assert await session.actor.handle.run(Work(seconds=1)) == "done"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.actor.handle.run, Work(seconds=50))
            await wait_all_tasks_blocked()
            async with session.actor.handle.attach():
                assert trio.current_time() == 1
            nursery.cancel_scope.cancel()
        await session.actor.handle.end()


@pytest.mark.parametrize("state", CREATING)
async def test_session_that_is_not_live_takes_no_client(
    state: SessionState, autojump_clock: MockClock
) -> None:
    """The client can come back later."""
    async with open_session(stuck_in(state)) as session:
        await reach(session, state)
        with pytest.raises(SessionNotLive):
            async with session.actor.handle.attach():
                pass
        await session.actor.handle.end()


@pytest.mark.parametrize("has_ended", [True, False])
async def test_session_that_has_ended_takes_no_client(has_ended: bool, autojump_clock: MockClock) -> None:
    """Nor one that is ending."""
    async with live_session(FakeMachine(remove_s=5)) as session:
        await session.actor.handle.ask_to_end(EndReason.DELETED)
        if has_ended:
            await session.ended.wait()
        with pytest.raises(SessionEnded):
            async with session.actor.handle.attach():
                pass


@pytest.mark.parametrize(
    ("error", "told"),
    [(ActionFailed("no"), ActionFailed), (BrowserLost("gone"), BrowserLost), (DEFECT, InternalFailure)],
)
async def test_client_that_can_not_be_attached_is_told_why(
    error: Exception, told: type[GreenroomError], autojump_clock: MockClock
) -> None:
    """The session goes on: its browser's end is noticed elsewhere."""
    machine = FakeMachine(connect_error=error)
    with capture_logs() as logs:
        async with live_session(machine) as session:
            with pytest.raises(told) as failed:
                async with session.actor.handle.attach():
                    pass
            assert failed.value.session_id == "a"
            machine.connect_error = None
            async with session.actor.handle.attach():
                assert session.actor.handle.info().clients == 1
            await session.actor.handle.end()
    assert ("a client could not be attached" in [log["event"] for log in logs]) == (error is DEFECT)


async def test_client_that_leaves_before_it_is_attached_leaves_nothing(autojump_clock: MockClock) -> None:
    """Whether the browser was asked yet or not."""
    machine = FakeMachine()
    async with live_session(machine) as session:
        for seconds in (0, 1e-9):
            with trio.move_on_after(seconds):
                async with session.actor.handle.attach():
                    await trio.sleep(math.inf)
        await wait_all_tasks_blocked()
        assert session.actor.handle.info().clients == 0
        assert [await driver.receive() for driver in machine.browsers["a"].drivers] in ([], [b""], [b"", b""])
        await session.actor.handle.end()


async def test_refused_calls_are_counted_and_each_kind_logged_once(autojump_clock: MockClock) -> None:
    """Twenty kinds at most: what is logged is up to clients."""
    with capture_logs() as logs:
        async with live_session() as session:
            async with session.actor.handle.attach() as attachment:
                for number in range(100):
                    attachment.note_refusal("Page", "pause")
                    attachment.note_refusal("Page", f"m{number}")
            assert session.actor.handle.info().refused_calls == 200
            await session.actor.handle.end()
    calls = [log["call"] for log in logs if log["event"] == "a client's call was refused"]
    assert calls == ["Page.pause", *(f"Page.m{number}" for number in range(19))]
