"""What is counted and measured of sessions, in virtual time."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from greenroom import GreenroomError, ProfileLocked, ProfileNotFound
from greenroom.actors.actions.actions import Click, Type
from greenroom.actors.commands import Act
from greenroom.actors.errors import ActionTimedOut, CloneFailed, UpstreamUnreachable
from greenroom.actors.lifecycle import ProfileInfo
from greenroom.actors.machine.ports import Owned
from greenroom.actors.session.sampling import SAMPLE_S
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.web.metrics.leaks import PERIOD_S
from greenroom.web.metrics.metrics import LAG_PERIOD_S
from tests.web.metrics.reading import watched

STATES = ("cloning", "queued", "launching", "warm", "navigating", "judging", "live", "ending")


async def test_life_of_a_session_is_counted_and_timed(autojump_clock: MockClock) -> None:
    """Each state once it is left, the creation as its caller waited for it, the verdict, the end."""
    machine = FakeMachine(clone_s=1, launch_s=2, navigate_s=4)
    async with watched(machine, max_session_duration=60) as seen:
        await seen.supervisor.create_session()
        assert seen.value("creations_total", "success") == 1
        assert seen.value("creation_duration_seconds_sum", "cold") == 7
        assert seen.value("phase_duration_seconds_sum", "live") is None
        assert seen.value("warm_requests_total", "miss") == 1
        assert seen.values("verdicts_total") == {("viewer_object", "logged_in"): 1}
        await trio.sleep(100)
        durations = seen.values("phase_duration_seconds_sum")
        assert durations == {("cloning",): 1, ("launching",): 2, ("navigating",): 4, ("live",): 60}
        assert seen.values("sessions_ended_total") == {("expired",): 1}
        assert seen.values("creations_total") == {("success",): 1}


async def test_warm_session_is_a_hit_and_its_creation_takes_what_is_left(autojump_clock: MockClock) -> None:
    """The time that it was cloned, launched and warm is not what its caller waited for."""
    machine = FakeMachine(clone_s=1, launch_s=2, navigate_s=4)
    async with watched(machine, warm_sessions=1, max_sessions=1) as seen:
        await trio.sleep(30)
        assert seen.values("creations_total") == seen.values("warm_requests_total") == {}
        await seen.supervisor.create_session()
        assert seen.values("warm_requests_total") == {("hit",): 1}
        assert seen.value("creation_duration_seconds_sum", "warm") == 4
        assert seen.value("creation_duration_seconds_count", "warm") == 1
        assert seen.value("creation_duration_seconds_count", "cold") is None


@pytest.mark.parametrize(
    ("trouble", "outcome", "reason"),
    [
        ({"page": LoginState.LOGGED_OUT}, "NOT_LOGGED_IN", "not_logged_in"),
        ({"launch_s": math.inf}, "SESSION_TIMEOUT", "creation_timeout"),
        ({"clone_error": ProfileLocked()}, "USER_DATA_LOCKED", "failed"),
        ({"clone_error": CloneFailed("full")}, "INTERNAL_ERROR", "failed"),
        ({"clone_error": RuntimeError("hunter2")}, "INTERNAL_ERROR", "failed"),
        ({"navigate_error": UpstreamUnreachable("reset")}, "UPSTREAM_UNREACHABLE", "failed"),
    ],
)
async def test_creation_that_fails_counts_with_the_code_that_its_caller_gets(
    autojump_clock: MockClock, trouble: dict[str, Any], outcome: str, reason: str
) -> None:
    """And with the reason of the session's end."""
    async with watched(FakeMachine(**trouble)) as seen:
        with capture_logs(), pytest.raises(GreenroomError):
            await seen.supervisor.create_session()
        await trio.sleep(1)
        assert seen.values("creations_total") == {(outcome,): 1}
        assert seen.values("sessions_ended_total") == {(reason,): 1}


@pytest.mark.parametrize("way", ["CALLER_LEFT", "SESSION_DELETED", "DRAINING"])
async def test_creation_that_somebody_ends_counts_as_that(autojump_clock: MockClock, way: str) -> None:
    """Whoever asked leaves, deletes it, or the daemon stops."""
    async with watched(FakeMachine(launch_s=10)) as seen, trio.open_nursery() as nursery:

        async def create() -> None:
            with pytest.raises((GreenroomError, trio.Cancelled)):
                await seen.supervisor.create_session()

        nursery.start_soon(create)
        await trio.sleep(5)
        [session] = await seen.supervisor.list_sessions()
        match way:
            case "CALLER_LEFT":
                nursery.cancel_scope.cancel(reason="the test says so")
                with trio.CancelScope(shield=True):
                    await trio.sleep(5)
            case "SESSION_DELETED":
                await seen.supervisor.end_session(session.id)
            case _:
                await seen.supervisor.drain(0)
        assert seen.values("creations_total") == {(way,): 1}


async def test_actions_are_timed_by_their_kind_and_counted_by_their_outcome(
    autojump_clock: MockClock,
) -> None:
    """Without what was typed, and where."""
    machine = FakeMachine(action_s=2)
    async with watched(machine) as seen:
        info = await seen.supervisor.create_session()
        handle = seen.supervisor.handle(info.id)
        await handle.run(Act((Type(target="#password", text="hunter2"), Click(target="#go"))))
        machine.action_error = ActionTimedOut("no")
        with pytest.raises(ActionTimedOut):
            await handle.run(Act((Click(target="#go"),)))
        assert seen.values("actions_total") == {
            ("click", "ok"): 1,
            ("type", "ok"): 1,
            ("click", "ACTION_TIMEOUT"): 1,
        }
        assert seen.values("action_duration_seconds_sum") == {("click",): 4, ("type",): 2}
        text = seen.text()
        assert [word for word in ("hunter2", "#password", "#go", info.id) if word in text] == []


async def test_login_that_is_lost_in_a_live_session_is_counted(autojump_clock: MockClock) -> None:
    """Once, and not as a verdict on a creation."""
    async with watched() as seen:
        info = await seen.supervisor.create_session()
        assert seen.value("logins_lost_total") == 0
        seen.machine.page = LoginState.LOGGED_OUT
        seen.machine.browsers[info.id].note_navigation()
        await trio.sleep(5)
        assert seen.value("logins_lost_total") == 1
        assert seen.values("verdicts_total") == {("viewer_object", "logged_in"): 1}


async def test_sessions_are_shown_by_state_and_profile(autojump_clock: MockClock) -> None:
    """Those without any are 0, so that a graph has no gaps. Browsers' memory is by profile."""
    machine = FakeMachine(launch_s=5, known=(ProfileInfo(name="default"), ProfileInfo(name="work")))
    async with watched(machine, warm_sessions=1, max_launching=1) as seen, trio.open_nursery() as nursery:
        await trio.sleep(10)
        nursery.start_soon(lambda: seen.supervisor.create_session(profile="work"))
        nursery.start_soon(lambda: seen.supervisor.create_session(profile="work"))
        await trio.sleep(1)
        assert seen.values("sessions") == {
            ("default", "warm"): 1,
            ("work", "launching"): 1,
            ("work", "queued"): 1,
        }
        assert all(
            seen.value("sessions", name, state) is not None
            for name in ("default", "work")
            for state in STATES
        )
        assert (seen.value("launching_sessions"), seen.value("launch_queue_sessions")) == (1, 1)
        assert (seen.value("requested_sessions"), seen.value("warm_sessions")) == (2, 1)
        assert (seen.value("room_sessions"), seen.value("max_sessions")) == (8, 10)
        await trio.sleep(20 + SAMPLE_S)
        assert seen.values("browser_memory_bytes") == {("work",): 3 * (700 << 20)}  # with the next warm one
        assert seen.value("browser_hosts") == 1


async def test_name_that_a_client_made_up_is_no_label(autojump_clock: MockClock) -> None:
    """Or whoever may ask for sessions could make as many series as they like."""
    async with watched(FakeMachine(clone_s=5)) as seen, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: seen.supervisor.create_session(profile="made-up"))
        await trio.sleep(1)
        assert seen.values("sessions") == {("", "cloning"): 1}
        await trio.sleep(10)
        assert "made-up" not in seen.text()
        seen.machine.missing = frozenset({"gone"})
        with pytest.raises(ProfileNotFound):
            await seen.supervisor.create_session(profile="gone")
        assert "gone" not in seen.text()


async def test_logins_are_shown_as_the_self_check_knows_them(autojump_clock: MockClock) -> None:
    """When each ends at the latest, and whether its last session was logged out."""
    end = datetime(2030, 1, 1, tzinfo=UTC)
    known = (ProfileInfo(name="default", login_expires_at=end), ProfileInfo(name="work"))
    async with watched(FakeMachine(known=known)) as seen:
        await trio.sleep(1)
        assert seen.values("profile_login_expiry_timestamp_seconds") == {("default",): end.timestamp()}
        assert seen.values("profile_logged_out") == seen.values("check_problem") == {}
        seen.machine.page = LoginState.LOGGED_OUT
        with pytest.raises(GreenroomError):
            await seen.supervisor.create_session(profile="work")
        await trio.sleep(1)
        assert seen.values("profile_logged_out") == {("work",): 1}
        assert seen.values("check_problem") == {("login",): 1}


async def test_leaks_are_looked_for_when_asked_but_not_each_time(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking waits for no survey. The first answer has none; later ones have what was found since."""
    surveys = 0
    survey = FakeMachine.survey

    async def count(machine: FakeMachine) -> Owned:
        nonlocal surveys
        surveys += 1
        return await survey(machine)

    monkeypatch.setattr(FakeMachine, "survey", count)
    async with watched(FakeMachine(survey_s=1)) as seen:
        await trio.sleep(3 * PERIOD_S)
        assert (surveys, seen.value("leaked", "entries")) == (0, None)
        await trio.sleep(2)
        seen.machine.clones.add("nobody's")
        for _ in range(5):
            assert seen.value("leaked", "entries") == 0
            await trio.sleep(1)
        assert surveys == 1
        await trio.sleep(PERIOD_S)
        assert seen.values("leaked") == {("entries",): 1, ("directories",): 1}
        seen.machine.clones.clear()


async def test_survey_that_fails_shows_no_leaks_rather_than_old_ones(autojump_clock: MockClock) -> None:
    """And the next one is looked at again."""
    async with watched() as seen:
        seen.text()
        await trio.sleep(1)
        assert seen.value("leaked", "entries") == 0
        seen.machine.sample_error = OSError("too many open files")
        with capture_logs() as logs:
            await trio.sleep(PERIOD_S)
            seen.text()
            await trio.sleep(1)
        assert "a request failed" in [entry["event"] for entry in logs]
        assert seen.value("leaked", "entries") is None
        seen.machine.sample_error = None
        await trio.sleep(PERIOD_S + 1)
        assert seen.value("leaked", "entries") == 0


async def test_loop_that_is_held_up_shows_as_lag(mock_clock: MockClock) -> None:
    """A task that computes for three seconds keeps others from running when they are due."""
    async with watched() as seen:
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(LAG_PERIOD_S + 3)
        await trio.testing.wait_all_tasks_blocked()
        assert seen.value("event_loop_lag_seconds_sum") == pytest.approx(3)
        assert seen.value("event_loop_lag_seconds_count") == 1
        assert seen.value("event_loop_lag_seconds_bucket", "2.5") == 0


async def test_daemons_in_one_process_have_metrics_of_their_own(autojump_clock: MockClock) -> None:
    """Nothing is registered for the process as a whole."""
    async with watched() as one, watched() as other:
        await one.supervisor.create_session()
        assert (one.value("creations_total", "success"), other.value("creations_total", "success")) == (1, 0)


async def test_nothing_is_there_twice_and_all_is_about_this_process(autojump_clock: MockClock) -> None:
    """The times at which series began are left out: they would double their number."""
    async with watched() as seen:
        await seen.supervisor.create_session()
        text = seen.text()
        assert "_created" not in text
        assert "process_resident_memory_bytes " in text
