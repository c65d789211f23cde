"""Session handles as the supervisor gives them out: to whom, for how long, and through which queue."""

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from greenroom import (
    ActionTimedOut,
    EndReason,
    LoginState,
    SessionEnded,
    SessionNotFound,
    SessionNotLive,
    SessionState,
    Supervisor,
    SupervisorConfig,
    SupervisorStopped,
    open_supervisor,
)
from greenroom.actors.actions.actions import Click
from greenroom.actors.commands import Probe
from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.api import END_S
from greenroom.supervisor.registry import Registry
from greenroom.supervisor.remembered import KEEP_S

CONFIG = SupervisorConfig(warm_sessions=0, max_launching=10, max_sessions=3)


async def until_warm(supervisor: Supervisor) -> None:
    with trio.fail_after(100):
        while not (await supervisor.count_sessions()).warm:
            await trio.sleep(0.1)


async def test_handle_of_a_live_session_runs_commands_and_ends_it(autojump_clock: MockClock) -> None:
    """It reports the session as the supervisor does, and waits for its end."""
    async with open_supervisor(CONFIG, machine=FakeMachine(probe_s=2, close_s=1)) as supervisor:
        info = await supervisor.create_session()
        handle = supervisor.handle(info.id)
        assert handle.id == handle.info().id == info.id
        await handle.run(Probe())
        assert trio.current_time() == 2
        await handle.end()
        assert trio.current_time() == 3
        assert await supervisor.get_session(info.id) == handle.info() == await handle.wait_ended()
        assert handle.info().reason is EndReason.DELETED
        assert await supervisor.list_sessions() == []


async def test_handle_reaches_its_session_while_the_registry_answers_nobody(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests about a single session don't pass through the registry's loop."""

    def fail(*_args: object) -> None:
        pytest.fail("the loop was asked")

    async with open_supervisor(CONFIG, machine=FakeMachine()) as supervisor:
        info = await supervisor.create_session()
        with monkeypatch.context() as patch:
            patch.setattr(Registry, "_handle", fail)
            handle = supervisor.handle(info.id)
            await handle.run(Probe())
            assert (await supervisor.get_session(info.id)).state is SessionState.LIVE
            await supervisor.end_session(info.id)


async def test_handle_outlives_its_session_and_can_still_be_got(autojump_clock: MockClock) -> None:
    """For 15 minutes after a session's end you can still get a handle. A handle you have stays valid."""
    async with open_supervisor(CONFIG, machine=FakeMachine()) as supervisor:
        info = await supervisor.create_session()
        kept = supervisor.handle(info.id)
        await kept.end()
        for handle in (kept, supervisor.handle(info.id)):
            with pytest.raises(SessionEnded) as ended:
                await handle.run(Probe())
            assert (ended.value.session_id, ended.value.end_reason) == (info.id, EndReason.DELETED)
            await handle.end()
            assert (await handle.wait_ended()).state is SessionState.ENDED
        await trio.sleep(KEEP_S + 1)
        with pytest.raises(SessionNotFound):
            supervisor.handle(info.id)
        assert kept.info().reason is EndReason.DELETED


async def test_session_that_nobody_has_asked_for_takes_no_commands(autojump_clock: MockClock) -> None:
    """A warm session refuses commands. Once a caller has it, the same handle takes them."""
    ahead: list[str] = []
    async with open_supervisor(
        SupervisorConfig(warm_sessions=1),
        machine=FakeMachine(),
        subscriber=lambda e: ahead.append(e.session.id),
    ) as supervisor:
        await until_warm(supervisor)
        handle = supervisor.handle(ahead[0])
        with pytest.raises(SessionNotLive, match="warm"):
            await handle.run(Probe())
        assert (await supervisor.create_session()).id == handle.id
        await handle.run(Probe())


async def test_nobody_gets_a_handle_from_a_supervisor_that_stops(autojump_clock: MockClock) -> None:
    """A stopping supervisor gives out no handles. Those that exist report how their session ends."""
    async with open_supervisor(CONFIG, machine=FakeMachine(close_s=2)) as supervisor:
        info = await supervisor.create_session()
        handle = supervisor.handle(info.id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.stop)
            await trio.sleep(1)
            with pytest.raises(SupervisorStopped):
                supervisor.handle(info.id)
            assert (await handle.wait_ended()).reason is EndReason.SHUTDOWN
            assert trio.current_time() == 2


async def test_cancelled_supervisor_gives_out_no_handle_either(autojump_clock: MockClock) -> None:
    """Callers that already have a handle don't wait forever either."""
    with capture_logs(), trio.CancelScope() as scope:
        async with open_supervisor(CONFIG, machine=FakeMachine()) as supervisor:
            handle = supervisor.handle((await supervisor.create_session()).id)
            scope.cancel()
    with trio.fail_after(5):
        assert (await handle.wait_ended()).reason is EndReason.SHUTDOWN
        with pytest.raises(SessionEnded):
            await handle.run(Probe())
    with pytest.raises(SupervisorStopped):
        supervisor.handle(handle.id)


async def test_supervisor_names_its_machines_engine_and_sandbox(autojump_clock: MockClock) -> None:
    """The caller doesn't need to have opened the machine to know them."""
    machine = FakeMachine()
    async with open_supervisor(CONFIG, machine=machine) as supervisor:
        assert supervisor.machine == machine.about


async def test_session_is_owned_by_a_block_that_uses_it(autojump_clock: MockClock) -> None:
    """It has ended when the block is left, by an error too."""
    machine = FakeMachine(value=7)
    async with open_supervisor(CONFIG, machine=machine) as supervisor:
        async with supervisor.session() as session:
            assert await session.evaluate("3 + 4") == 7
            assert await session.on("p2").html() == machine.html.decode()
            machine.action_s = 6
            with pytest.raises(ActionTimedOut):
                await session.click("e1")
            await session.within(10).click("e1")
            browser = machine.browsers[session.id]
            assert browser.performed[-1] == Click(target="e1", timeout=10)
            machine.action_s = 0
            await session.put_file("a.txt", b"one")
            assert browser.files == {"a.txt": b"one"}
            extended = await session.extend(60)
            assert extended.expires_at == session.info().expires_at
        assert machine.browsers == {}
        with pytest.raises(KeyError):
            async with supervisor.session():
                raise KeyError
        assert machine.browsers == {}


async def test_only_states_teach_the_daemon_about_its_login(autojump_clock: MockClock) -> None:
    """A live session whose own clone loses its login says nothing for the master profile."""
    machine = FakeMachine()
    async with open_supervisor(CONFIG, machine=machine) as supervisor, supervisor.session() as session:
        before = dict(supervisor.checks)
        machine.page = LoginState.LOGGED_OUT
        await session.judge()
        await session.extend(5)
        assert dict(supervisor.checks) == before


async def test_block_that_is_cancelled_has_ended_its_session_when_it_is_left(
    autojump_clock: MockClock,
) -> None:
    """And a cleanup that hangs holds it up for a bounded time only."""
    for remove_s, left_at in ((2, 12), (1000, 10 + END_S)):
        machine = FakeMachine(remove_s=remove_s)
        async with open_supervisor(CONFIG, machine=machine) as supervisor:
            started = trio.current_time()
            with trio.move_on_after(10):
                async with supervisor.session():
                    await trio.sleep_forever()
            assert trio.current_time() - started == left_at
            assert machine.browsers == {}
