"""A machine on which surveys or samples fail for a while, as without a free file descriptor."""

import errno

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from greenroom import InternalFailure, SessionState, SupervisorConfig, open_supervisor
from greenroom.actors.machine.ports import Owned
from greenroom.actors.resources import Usage
from greenroom.actors.session.sampling import SAMPLE_S
from greenroom.actors.testing import FakeMachine, FakeWorkspace


async def test_survey_that_fails_is_an_error_of_that_question_alone(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request for leaks gets the error. The sessions go on."""

    async def fail(_machine: FakeMachine) -> Owned:
        raise OSError(errno.EMFILE, "Too many open files")

    async with open_supervisor(SupervisorConfig(warm_sessions=0), machine=FakeMachine()) as supervisor:
        info = await supervisor.create_session()
        with monkeypatch.context() as patch, capture_logs():
            patch.setattr(FakeMachine, "survey", fail)
            with pytest.raises(InternalFailure):
                await supervisor.find_leaks()
        assert (await supervisor.get_session(info.id)).state is SessionState.LIVE
        assert len((await supervisor.find_leaks()).owned.entries) == 1


async def test_sample_that_fails_ends_no_session(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session's use is sampled again the next time."""
    failures = 2
    measure = FakeWorkspace.measure

    async def fail_at_first(workspace: FakeWorkspace) -> Usage:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return await measure(workspace)

    monkeypatch.setattr(FakeWorkspace, "measure", fail_at_first)
    async with open_supervisor(SupervisorConfig(warm_sessions=0), machine=FakeMachine()) as supervisor:
        session_id = (await supervisor.create_session()).id
        await trio.sleep(2.5 * SAMPLE_S)
        info = await supervisor.get_session(session_id)
        assert (info.state, info.usage) == (SessionState.LIVE, None)
        await trio.sleep(SAMPLE_S)
        assert (await supervisor.get_session(session_id)).usage is not None
