"""Logins are renewed while nobody uses their profiles, in virtual time."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from greenroom import SessionEvent, SessionState, Supervisor, SupervisorConfig, open_supervisor
from greenroom.actors.errors import NotLoggedIn, UpstreamUnreachable
from greenroom.actors.lifecycle import ProfileInfo, ProfileMode, ProfileUse, Purpose
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginReason, LoginState, Method, Verdict
from greenroom.supervisor import refreshing
from greenroom.supervisor.refreshing import RETRY_S

HOUR = 3600.0
PERIOD_S = 12 * HOUR
DURATION_S = 24 * HOUR
IN_A_YEAR = datetime.now(UTC) + timedelta(days=365)
LOGGED_IN = ProfileInfo(name="default", login=("sessionid",), login_expires_at=IN_A_YEAR)


@asynccontextmanager
async def refreshed(
    machine: FakeMachine, **settings: Any
) -> AsyncIterator[tuple[Supervisor, list[SessionEvent]]]:
    """Run a supervisor that refreshes profiles; yield it with the events of the sessions that do."""
    events: list[SessionEvent] = []

    def hear(event: SessionEvent) -> None:
        if event.session.purpose is Purpose.REFRESH:
            events.append(event)

    config = SupervisorConfig(
        **{
            "warm_sessions": 0,
            "profile_refresh": PERIOD_S,
            "max_session_duration": DURATION_S,
            "max_extended_duration": DURATION_S,
            **settings,
        }
    )
    async with open_supervisor(config, machine=machine, subscriber=hear) as supervisor:
        yield supervisor, events


def refreshes(events: list[SessionEvent]) -> list[str]:
    """Return the profiles that were refreshed, in order."""
    return [event.session.profile.name for event in events if event.session.state is SessionState.LIVE]


async def test_login_outlives_twenty_rotations(autojump_clock: MockClock) -> None:
    """The site ends each login after 18 hours, unless it was renewed. Nothing else keeps it alive."""
    machine = FakeMachine(known=(LOGGED_IN,), launch_s=3, commit_s=1)
    renewed, seen = trio.current_time(), 0

    async def let_logins_end() -> None:
        nonlocal renewed, seen
        while True:
            await trio.sleep(60)
            if len(machine.committed) > seen:
                seen, renewed = len(machine.committed), trio.current_time()
            if trio.current_time() - renewed > 18 * HOUR:
                machine.page = LoginState.LOGGED_OUT

    async with refreshed(machine) as (supervisor, events), trio.open_nursery() as nursery:
        nursery.start_soon(let_logins_end)
        await trio.sleep(20 * 1.15 * PERIOD_S)
        assert len(machine.committed) >= 20
        assert (await supervisor.create_session()).verdict is not None
        nursery.cancel_scope.cancel()
    assert set(machine.uses.values()) == {ProfileUse(), ProfileUse(mode=ProfileMode.WRITE)}
    assert refreshes(events) == ["default"] * len(machine.committed)


async def test_nothing_is_refreshed_unless_it_is_asked_for(autojump_clock: MockClock) -> None:
    """It is off by default."""
    machine = FakeMachine(known=(LOGGED_IN,))
    assert SupervisorConfig().profile_refresh == 0
    async with refreshed(machine, profile_refresh=0):
        await trio.sleep(10 * PERIOD_S)
    assert machine.uses == {}


async def test_time_since_the_last_generation_counts(autojump_clock: MockClock) -> None:
    """A daemon that is restarted all the time refreshes too. Profiles without a login are left alone."""
    now = datetime.now(UTC)

    def made(name: str, hours: float, **more: Any) -> ProfileInfo:
        return attrs.evolve(LOGGED_IN, name=name, committed_at=now - timedelta(hours=hours), **more)

    machine = FakeMachine(
        known=(
            made("default", 2),
            made("old", 30),
            made("half", 8),
            made("none", 30, login=(), login_expires_at=None),
            made("expired", 30, login_expires_at=now - timedelta(days=1)),
        )
    )
    async with refreshed(machine) as (_supervisor, events):
        await trio.sleep(HOUR)
        assert refreshes(events) == ["old"]
        await trio.sleep(5 * HOUR)
        assert refreshes(events) == ["old", "half"]
        await trio.sleep(6 * HOUR)
        assert sorted(refreshes(events)[:3]) == ["default", "half", "old"]


async def test_generation_that_is_made_meanwhile_counts(autojump_clock: MockClock) -> None:
    """The login was renewed by whoever made it."""
    machine = FakeMachine(known=(LOGGED_IN,))
    async with refreshed(machine) as (_supervisor, events):
        await trio.sleep(10 * HOUR)
        machine.known = (attrs.evolve(LOGGED_IN, committed_at=datetime.now(UTC)),)
        await trio.sleep(9 * HOUR)
        assert refreshes(events) == []
        await trio.sleep(5 * HOUR)
        assert refreshes(events) == ["default"]


async def test_profile_in_use_is_refreshed_later(autojump_clock: MockClock) -> None:
    """A session that is in use must not be logged out by the new login, nor wait for it."""
    machine = FakeMachine(known=(LOGGED_IN,))
    async with refreshed(machine) as (supervisor, events):
        await trio.sleep(10 * HOUR)
        info = await supervisor.create_session()
        await trio.sleep(10 * HOUR)
        assert refreshes(events) == []
        await supervisor.end_session(info.id)
        await trio.sleep(120)
        assert refreshes(events) == ["default"]


async def test_refresh_that_fails_is_tried_again(autojump_clock: MockClock) -> None:
    """Not at once. Each failure is a line in the log, with the profile."""
    machine = FakeMachine(
        known=(LOGGED_IN,), navigate_error=UpstreamUnreachable("TikTok could not be reached")
    )
    with capture_logs() as logs:
        async with refreshed(machine) as (_supervisor, events):
            await trio.sleep(1.1 * PERIOD_S + 120)
            assert (machine.committed, refreshes(events)) == ([], [])
            machine.navigate_error = None
            await trio.sleep(RETRY_S + 120)
            assert len(machine.committed) == 1
    lines = [(line["event"], line["profile"]) for line in logs if line["event"].startswith("a profile was")]
    assert lines[0] == ("a profile was not refreshed", "default")
    assert lines[-1] == ("a profile was refreshed", "default")


async def test_login_that_the_site_has_ended_is_asked_for_ever_more_seldom(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its cookie still holds. As soon as somebody has logged in, all is as before."""
    monkeypatch.setattr(refreshing, "MAX_RETRY_S", 4 * HOUR)
    machine = FakeMachine(known=(LOGGED_IN,))
    tries: list[float] = []

    async def refresh(_profile: str) -> int:
        tries.append(trio.current_time())
        raise NotLoggedIn(
            Verdict(state=LoginState.LOGGED_OUT, reason=LoginReason.LOGIN_BUTTON, method=Method.HTML)
        )

    running = refreshing.Refreshing(
        machine=machine, period_s=PERIOD_S, refresh=refresh, is_used=lambda _: False
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.run)
        await trio.sleep(1.2 * PERIOD_S + 16 * HOUR)
        pauses = [round((after - before) / HOUR, 1) for before, after in itertools.pairwise(tries)]
        assert pauses[:5] == [0.5, 1.0, 2.0, 4.0, 4.0]
        machine.known = (attrs.evolve(LOGGED_IN, committed_at=datetime.now(UTC)),)
        tries.clear()
        await trio.sleep(1.2 * PERIOD_S + HOUR)
        assert (tries[1] - tries[0]) / HOUR == pytest.approx(0.5, abs=0.1)
        nursery.cancel_scope.cancel()


async def test_profile_that_can_not_be_refreshed_keeps_no_other_from_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even by a fault of ours."""
    machine = FakeMachine(known=(LOGGED_IN, attrs.evolve(LOGGED_IN, name="shop")))
    refresh = Supervisor.refresh

    async def fail_or_refresh(supervisor: Supervisor, profile: str) -> int:
        if profile == "default":
            raise KeyError("a bug")
        return await refresh(supervisor, profile)

    monkeypatch.setattr(Supervisor, "refresh", fail_or_refresh)
    async with refreshed(machine) as (_supervisor, events):
        await trio.sleep(1.1 * PERIOD_S + 120)
        assert refreshes(events) == ["shop"]


@pytest.mark.parametrize("by", ["stop", "drain"])
async def test_supervisor_that_stops_refreshes_no_more(autojump_clock: MockClock, by: str) -> None:
    """Nor does a refresh delay its end."""
    machine = FakeMachine(known=(LOGGED_IN,), launch_s=20)
    async with refreshed(machine) as (supervisor, _events):
        with trio.fail_after(2 * PERIOD_S):
            while not machine.browsers:
                await trio.sleep(1)
        with trio.fail_after(60):
            await (supervisor.stop() if by == "stop" else supervisor.drain(0))
    assert machine.browsers == {}
