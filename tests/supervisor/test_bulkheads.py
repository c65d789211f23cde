"""An unforeseen exception, raised in each task of the supervisor in turn, ends at most one request."""

import math
from collections.abc import Awaitable, Callable
from typing import NoReturn

import pytest
import structlog
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from greenroom import (
    EndReason,
    InternalFailure,
    SessionEvent,
    SessionState,
    Subject,
    Supervisor,
    SupervisorConfig,
    SupervisorStopped,
    open_supervisor,
)
from greenroom.actors.errors import CleanupIncomplete, CloneFailed
from greenroom.actors.session.actor import SessionActor
from greenroom.actors.session.mailbox import End
from greenroom.actors.testing import FakeMachine, FakeWorkspace
from greenroom.supervisor import registry
from greenroom.supervisor.idempotency import Creation
from greenroom.supervisor.registry import Registry
from greenroom.supervisor.self_check import PERIOD_S, SelfCheck
from greenroom.supervisor.warm import MAX_BACKOFF_S, WarmSessions

NO_THREAD = RuntimeError("can't start new thread")
CONFIG = SupervisorConfig(warm_sessions=0, max_launching=10, max_sessions=3)


def fail(*_args: object, **_kwargs: object) -> NoReturn:
    raise NO_THREAD


async def fail_async(*_args: object, **_kwargs: object) -> NoReturn:
    await trio.lowlevel.checkpoint()
    raise NO_THREAD


async def create(supervisor: Supervisor) -> None:
    await supervisor.create_session()


async def create_with_key(supervisor: Supervisor) -> None:
    await supervisor.create_session("key")


async def until_warm(supervisor: Supervisor) -> None:
    with trio.fail_after(100):
        while not (await supervisor.count_sessions()).warm:
            await trio.sleep(0.1)


async def assert_well(supervisor: Supervisor, *, first: str | None = None) -> None:
    """Check that sessions live, that all places can be filled, and that all are free again afterwards."""
    if first is not None:
        assert (await supervisor.get_session(first)).state is SessionState.LIVE
    while (await supervisor.count_sessions()).sessions < supervisor.config.max_sessions:
        await supervisor.create_session()
    for info in await supervisor.list_sessions():
        await supervisor.end_session(info.id)
    assert (await supervisor.count_sessions()).sessions == 0


@pytest.mark.parametrize(
    ("owner", "name", "failure", "request_"),
    [
        (Registry, "_create", fail, create),
        (Registry, "_start", fail, create),
        (registry, "new_spec", fail, create_with_key),
        (Creation, "result", fail_async, create_with_key),
        (SessionActor, "run", fail_async, create),
        (SessionActor, "__attrs_post_init__", fail, create),
        (SessionActor, "_live", fail_async, create),
        (SessionActor, "_noting_failure", fail, create),
        (Registry, "_requested", property(fail), lambda supervisor: supervisor.count_sessions()),
        (FakeMachine, "survey", fail_async, lambda supervisor: supervisor.find_leaks()),
        (FakeMachine, "open_workspace", fail, create),
        (FakeWorkspace, "launch", fail_async, create),
    ],
)
async def test_request_whose_task_fails_is_answered_with_that(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    failure: object,
    request_: Callable[[Supervisor], Awaitable[object]],
) -> None:
    """The caller gets an internal error. The other session lives, and all places can still be used."""
    with capture_logs():
        async with open_supervisor(CONFIG, machine=FakeMachine()) as supervisor:
            first = await supervisor.create_session()
            with monkeypatch.context() as patch, trio.fail_after(100):
                patch.setattr(owner, name, failure)
                with pytest.raises(InternalFailure):
                    await request_(supervisor)
            await assert_well(supervisor, first=first.id)


async def test_failed_request_is_logged_once_with_the_id_of_its_answer(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id finds the cause and its traceback."""
    async with open_supervisor(CONFIG, machine=FakeMachine()) as supervisor:
        monkeypatch.setattr(FakeMachine, "survey", fail_async)
        with capture_logs() as logs, pytest.raises(InternalFailure) as failure:
            await supervisor.find_leaks()
    [line] = logs
    assert (line["event"], line["request"]) == ("a request failed", "FindLeaks")
    assert line["error_id"] == failure.value.id
    assert line["exc_info"] is NO_THREAD


async def test_end_that_can_not_be_asked_for_leaves_the_session_as_it_is(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the caller gets the error, even if it is the supervisor. The session can still be ended later."""
    with capture_logs() as logs:
        async with open_supervisor(CONFIG, machine=FakeMachine()) as supervisor:
            first = await supervisor.create_session()
            with monkeypatch.context() as patch:
                patch.setattr(trio.MemorySendChannel, "send", _failing_for(End))
                with pytest.raises(RuntimeError, match="thread"):
                    await supervisor.end_session(first.id)
                with trio.move_on_after(2) as drained:
                    await supervisor.drain(1)
            assert drained.cancelled_caught
            assert (await supervisor.get_session(first.id)).state is SessionState.LIVE
            await supervisor.end_session(first.id)
    assert [line["event"] for line in logs] == ["a session could not be asked to end"]


def _failing_for(kind: type) -> Callable[..., Awaitable[None]]:
    send = trio.MemorySendChannel.send

    async def send_unless(channel: trio.MemorySendChannel[object], message: object) -> None:
        if isinstance(message, kind):
            raise NO_THREAD
        await send(channel, message)

    return send_unless


@pytest.mark.parametrize("name", ["_claim", "_make_room", "_create_cold"])
async def test_caller_whose_warm_session_can_not_be_handed_over_is_told(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The caller no longer counts as waiting."""
    with capture_logs():
        config = SupervisorConfig(warm_sessions=1, max_launching=10, max_sessions=3)
        machine = FakeMachine()
        async with open_supervisor(config, machine=machine) as supervisor:
            await until_warm(supervisor)
            with monkeypatch.context() as patch:
                if name != "_claim":
                    machine.probe_s = math.inf  # the browser turns out to be unfit
                owner = registry if name == "_claim" else Registry
                patch.setattr(owner, name, fail if name == "_create_cold" else fail_async)
                with pytest.raises(InternalFailure):
                    await supervisor.create_session()
            machine.probe_s = 0
            await assert_well(supervisor)


@pytest.mark.parametrize("name", ["start", "room"])
async def test_warm_sessions_that_fail_to_be_kept_are_tried_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Nothing else is disturbed, and a warm session comes later."""
    config = SupervisorConfig(warm_sessions=1)
    begin = WarmSessions.run

    async def run(warm: WarmSessions) -> None:
        setattr(warm, name, _failing_once(getattr(warm, name)))
        await begin(warm)

    monkeypatch.setattr(WarmSessions, "run", run)
    with capture_logs() as logs:
        async with open_supervisor(config, machine=FakeMachine()) as supervisor:
            info = await supervisor.create_session()
            await trio.sleep(MAX_BACKOFF_S + 1)
            await until_warm(supervisor)
            assert (await supervisor.get_session(info.id)).state is SessionState.LIVE
    assert [line["event"] for line in logs] == ["keeping a warm session failed"]


def _failing_once(function: Callable[..., object]) -> Callable[..., object]:
    calls = 0

    def call(*args: object) -> object:
        nonlocal calls
        calls += 1
        return fail() if calls == 1 else function(*args)

    return call


async def test_drain_that_fails_is_answered_with_that(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller of the drain can still stop the supervisor, which ends all sessions."""
    events: list[SessionEvent] = []
    with capture_logs():
        async with open_supervisor(CONFIG, machine=FakeMachine(), subscriber=events.append) as supervisor:
            await supervisor.create_session()
            monkeypatch.setattr(Registry, "_end_all", fail)
            with pytest.raises(InternalFailure):
                await supervisor.drain(10)
            monkeypatch.undo()
    assert events[-1].session.reason is EndReason.SHUTDOWN


async def test_cancelled_supervisor_leaves_nobody_waiting(autojump_clock: MockClock) -> None:
    """Callers outside its block learn that it has stopped, whatever they were waiting for."""
    machine = FakeMachine(launch_s=10, remove_s=20, survey_s=100)
    stopped = 0

    async def ask(request: Callable[[Supervisor], Awaitable[object]], supervisor: Supervisor) -> None:
        nonlocal stopped
        with pytest.raises(SupervisorStopped):
            await request(supervisor)
        stopped += 1

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            config = SupervisorConfig(warm_sessions=1, max_launching=10, max_sessions=2)
            async with open_supervisor(config, machine=machine) as supervisor:
                await until_warm(supervisor)
                machine.probe_s = 1000
                machine.remove_s = 1000
                requests: list[Callable[[Supervisor], Awaitable[object]]] = [
                    create,
                    create_with_key,
                    lambda supervisor: supervisor.find_leaks(),
                ]
                for request in requests:
                    nursery.start_soon(ask, request, supervisor)
                await trio.sleep(0.5)
                machine.remove_s = 0
                scope.cancel()
        with trio.fail_after(100):
            while stopped < len(requests):
                await trio.sleep(1)


async def test_deletion_that_leaves_something_says_so_each_time(autojump_clock: MockClock) -> None:
    """It says so at once, and for as long as the ended session is remembered."""
    machine = FakeMachine(remove_error=CloneFailed("It can't be removed"), keeps_clones=True)
    with capture_logs():
        async with open_supervisor(CONFIG, machine=machine) as supervisor:
            info = await supervisor.create_session()
            for _ in range(2):
                with pytest.raises(CleanupIncomplete) as incomplete:
                    await supervisor.end_session(info.id)
                assert "clone" in incomplete.value.left
            receipt = (await supervisor.get_session(info.id)).receipt
            assert receipt is not None
            assert receipt.left == incomplete.value.left
            assert (await supervisor.find_leaks()).leaked.directories != ()


async def test_self_check_that_fails_is_begun_anew(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is disturbed, and a problem is still found later."""
    machine = FakeMachine(no_place="It is full")
    monkeypatch.setattr(SelfCheck, "_turn", _failing_once(SelfCheck._turn))
    with capture_logs() as logs:
        async with open_supervisor(CONFIG, machine=machine) as supervisor:
            await assert_well(supervisor)
            await trio.sleep(PERIOD_S + 1)
            assert supervisor.checks[Subject.CLONES].problem == "It is full"
    assert [line["event"] for line in logs] == ["the self-check failed", "problem found"]


async def test_log_that_is_broken_too_is_no_reason_to_end(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a set-up, logging writes to standard output, which may be closed."""
    config = structlog.get_config()
    structlog.configure(processors=[_fail_to_render])
    try:
        machine = FakeMachine()
        async with open_supervisor(CONFIG, machine=machine, subscriber=fail) as supervisor:
            first = await supervisor.create_session()
            machine.remove_error, machine.no_place = CloneFailed("It took a second try"), "It is full"
            await supervisor.end_session((await supervisor.create_session()).id)
            await trio.sleep(2 * PERIOD_S)
            machine.remove_error = None
            monkeypatch.setattr(FakeMachine, "survey", fail_async)
            with pytest.raises(InternalFailure):
                await supervisor.find_leaks()
            await assert_well(supervisor, first=first.id)
    finally:
        structlog.configure(**config)


def _fail_to_render(*_args: object) -> NoReturn:
    raise BrokenPipeError
