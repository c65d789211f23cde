"""Which ends of a session that writes the profile commit it, with a fake machine in virtual time."""

from datetime import timedelta
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from greenroom.actors.errors import ActionFailed, NotLoggedIn, ProfileLocked, ProfileNotReplaced
from greenroom.actors.events import EventKind
from greenroom.actors.lifecycle import Commit, EndReason, ProfileMode, ProfileUse, Purpose, SessionState
from greenroom.actors.machine.storage_state import Cookie, StorageState
from greenroom.actors.resources import Budget
from greenroom.actors.session.actor import CLOSE_GRACE_S
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import Gate, LoginState
from tests.actors.session.test_actor import Session, open_session

WRITE = {"profile": ProfileUse(mode=ProfileMode.WRITE)}
TINY = Budget(memory_bytes=1, processes=1, disk_bytes=1)
LOST = Commit(problem="The session ended as browser_lost")
NO_LOGIN = "The page did not show a login at last"


def commit_of(session: Session) -> Commit | None:
    receipt = session.actor.info().receipt
    assert receipt is not None
    return receipt.commit


@pytest.mark.parametrize("reason", [EndReason.DELETED, EndReason.EXPIRED, EndReason.SHUTDOWN, EndReason.IDLE])
async def test_polite_end_commits_the_profile(autojump_clock: MockClock, reason: EndReason) -> None:
    """After the browser has saved it, and before the clone is removed. The receipt has the generation."""
    machine = FakeMachine(commit_s=20)
    idle = {"idle_timeout_s": 30} if reason is EndReason.IDLE else {}
    async with open_session(machine, **WRITE, **idle, max_duration_s=60) as session:
        info = await session.established()
        assert (info.profile, machine.uses) == (WRITE["profile"], {"a": WRITE["profile"]})
        if reason in {EndReason.DELETED, EndReason.SHUTDOWN}:
            await session.actor.handle.ask_to_end(reason)
        await session.ended.wait()
    assert (session.reason, machine.committed) == (reason, ["a"])
    assert commit_of(session) == Commit(generation=1)


async def test_writer_that_is_extended_says_until_when_it_has_the_profile(autojump_clock: MockClock) -> None:
    """Those who are refused learn its end as it is then. One that is not says it from the start."""
    machine = FakeMachine()
    async with open_session(machine, **WRITE, max_duration_s=60, ceiling_s=100) as session:
        await session.established()
        first = machine.untils["a"]
        expires = session.actor.info().expires_at
        assert first is not None
        assert expires is not None
        assert first >= expires + timedelta(seconds=CLOSE_GRACE_S)  # its creation could have taken longer
        for seconds, more in ((30, 30), (1000, 40)):
            info = await session.actor.handle.extend(seconds)
            await trio.testing.wait_all_tasks_blocked()
            until = machine.untils["a"]
            assert until is not None
            assert info.expires_at is not None
            assert (info.expires_at - expires).total_seconds() == pytest.approx(more, abs=1)
            assert (until - info.expires_at).total_seconds() == pytest.approx(CLOSE_GRACE_S, abs=1)
    async with open_session(machine, max_duration_s=60, ceiling_s=100) as session:
        await session.established()
        before = machine.untils["a"]
        await session.actor.handle.extend(30)
        await trio.testing.wait_all_tasks_blocked()
        assert machine.untils["a"] == before


async def test_session_that_reads_commits_nothing(autojump_clock: MockClock) -> None:
    """Nor does its receipt speak of it."""
    machine = FakeMachine()
    async with open_session(machine) as session:
        await session.established()
        await session.actor.handle.end()
    assert (machine.committed, commit_of(session)) == ([], None)


@pytest.mark.parametrize(
    ("machine", "spec", "problem"),
    [
        ({"close_s": CLOSE_GRACE_S + 1}, {}, "The browser did not close by itself"),
        ({"page": LoginState.LOGGED_OUT}, {}, "The session never was live"),
        ({"navigate_s": 1e6}, {}, "The session never was live"),
        ({"clone_error": ProfileLocked()}, {}, "The session never was live"),
        ({}, {"budget": TINY}, "The session ended as over_budget"),
        ({"commit_error": ProfileNotReplaced("A database of the new profile is damaged")}, {},
         "A database of the new profile is damaged"),
        ({"commit_error": RuntimeError("a bug")}, {}, "The profile could not be committed"),
    ],
    ids=["hangs", "logged out", "too late", "locked", "over budget", "damaged", "a bug"],
)  # fmt: skip
async def test_other_end_commits_nothing_and_says_why(
    autojump_clock: MockClock, machine: dict[str, Any], spec: dict[str, Any], problem: str
) -> None:
    """And leaves nothing behind either."""
    fake = FakeMachine(**machine)
    async with open_session(fake, **WRITE, **spec, max_duration_s=60) as session:
        await session.ended.wait()
    assert (fake.committed, commit_of(session)) == ([], Commit(problem=problem))


async def test_session_to_log_in_ends_once_the_page_shows_a_login(autojump_clock: MockClock) -> None:
    """It is live from the start, for a person to use. Then its profile is saved."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT)
    async with open_session(machine, **WRITE, purpose=Purpose.LOGIN, max_duration_s=600) as session:
        info = await session.established()
        assert (info.state, info.purpose) == (SessionState.LIVE, Purpose.LOGIN)
        assert info.verdict is not None
        assert info.verdict.state is LoginState.LOGGED_OUT
        await trio.sleep(300)
        assert not session.ended.is_set()
        machine.page = LoginState.UNCERTAIN
        await trio.sleep(10)
        shown = session.actor.info().verdict
        assert shown is not None
        assert shown.state is LoginState.UNCERTAIN  # what the page asks for is told while it is so
        machine.page, machine.gate = LoginState.LOGGED_IN, Gate.CONSENT
        await trio.sleep(10)
        assert not session.ended.is_set()  # somebody still has to agree to something
        machine.gate = None
        with trio.fail_after(10):
            await session.ended.wait()
    assert (session.reason, commit_of(session)) == (EndReason.COMPLETED, Commit(generation=1))


async def test_login_that_does_not_come_commits_nothing(autojump_clock: MockClock) -> None:
    """The session ends when its time is over."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT)
    async with open_session(machine, **WRITE, purpose=Purpose.LOGIN, max_duration_s=60) as session:
        await session.ended.wait()
    assert (session.reason, commit_of(session)) == (EndReason.EXPIRED, Commit(problem=NO_LOGIN))


@pytest.mark.parametrize("purpose", [Purpose.IMPORT, Purpose.REFRESH])
async def test_session_with_nothing_more_to_do_ends_at_once(
    autojump_clock: MockClock, purpose: Purpose
) -> None:
    """Its browser has what it was given before it loads a page."""
    machine = FakeMachine(navigate_s=3, commit_s=1)
    state = StorageState(cookies=(Cookie(name="sessionid", value="x", domain="site.test"),))
    async with open_session(machine, **WRITE, purpose=purpose, state=state) as session:
        await trio.sleep(1)
        browser = machine.browsers["a"]
        assert (browser.restored, len(browser.urls)) == ([state], 1)
        await session.established()
        await session.ended.wait()
    assert (session.reason, commit_of(session)) == (EndReason.COMPLETED, Commit(generation=1))


async def test_state_that_shows_no_login_is_not_committed(autojump_clock: MockClock) -> None:
    """Nor one that the browser does not take."""
    state = StorageState()
    machine = FakeMachine(page=LoginState.LOGGED_OUT)
    async with open_session(machine, **WRITE, purpose=Purpose.IMPORT, state=state) as session:
        with pytest.raises(NotLoggedIn):
            await session.established()
        await session.ended.wait()
    machine = FakeMachine(restore_error=ActionFailed("no"))
    async with open_session(machine, **WRITE, purpose=Purpose.IMPORT, state=state) as session:
        with pytest.raises(ActionFailed):
            await session.established()
        await session.ended.wait()
    assert machine.committed == []


@pytest.mark.parametrize(
    ("by_hand", "close_s", "reason", "commit"),
    [
        (True, 2, EndReason.CLOSED_BY_CLIENT, Commit(generation=1)),
        (True, CLOSE_GRACE_S + 1, EndReason.BROWSER_LOST, LOST),
        (False, 0, EndReason.BROWSER_LOST, LOST),
    ],
    ids=["closed", "closed, and hangs", "crashed"],
)
async def test_window_that_is_closed_by_hand_is_a_polite_end(
    autojump_clock: MockClock, by_hand: bool, close_s: float, reason: EndReason, commit: Commit
) -> None:
    """The browser quits by itself then, which takes a moment. One that does not has not saved its profile."""
    machine = FakeMachine(page=LoginState.UNCERTAIN, close_s=close_s)
    async with open_session(machine, **WRITE, purpose=Purpose.BROWSE, headless=False) as session:
        await session.established()
        machine.page = LoginState.LOGGED_IN
        await session.actor.handle.judge()
        browser = machine.browsers["a"]
        (browser.quit_by_hand if by_hand else browser.crash)()
        await session.ended.wait()
    assert (session.reason, commit_of(session)) == (reason, commit)


async def test_page_that_is_used_by_hand_is_looked_at_again(autojump_clock: MockClock) -> None:
    """A site may log somebody in without another document. To browse goes on then."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT)
    async with open_session(machine, **WRITE, purpose=Purpose.BROWSE) as session:
        await session.established()
        machine.page = LoginState.LOGGED_IN
        await trio.sleep(20)
        assert not session.ended.is_set()
        await session.actor.handle.end()
    assert commit_of(session) == Commit(generation=1)


async def test_window_that_is_closed_before_a_login_commits_nothing(autojump_clock: MockClock) -> None:
    """Whoever was to log in has given up."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT)
    async with open_session(machine, **WRITE, purpose=Purpose.LOGIN, headless=False) as session:
        await session.established()
        machine.browsers["a"].quit_by_hand()
        await session.ended.wait()
    assert (session.reason, commit_of(session)) == (EndReason.CLOSED_BY_CLIENT, Commit(problem=NO_LOGIN))


async def test_login_that_was_renewed_in_vain_is_told(autojump_clock: MockClock) -> None:
    """By a session that only reads, at its polite end, before it has ended."""
    machine = FakeMachine(rotates=True)
    async with open_session(machine) as session:
        await session.established()
        await session.actor.handle.end()
    kinds = [event.kind for event in session.events if event.kind is not EventKind.STATE]
    assert kinds == [EventKind.PROFILE_ROTATED]
    assert session.events[-1].session.state is SessionState.ENDED
    for end, spec in ((EndReason.DELETED, WRITE), (EndReason.BROWSER_LOST, {})):
        async with open_session(machine, **spec) as session:
            await session.established()
            if end is EndReason.DELETED:
                await session.actor.handle.end()
            else:
                machine.browsers["a"].crash()
                await session.ended.wait()
        assert EventKind.PROFILE_ROTATED not in {event.kind for event in session.events}


async def test_browser_that_is_lost_commits_nothing(autojump_clock: MockClock) -> None:
    """Nobody knows what it had saved."""
    machine = FakeMachine()
    async with open_session(machine, **WRITE) as session:
        await session.established()
        machine.browsers["a"].crash()
        await session.ended.wait()
    assert (machine.committed, session.reason) == ([], EndReason.BROWSER_LOST)
    assert commit_of(session) == Commit(problem="The session ended as browser_lost")


async def test_host_that_dies_during_the_commit_changes_nothing_about_it(autojump_clock: MockClock) -> None:
    """The browser has saved its profile and is gone by then."""
    machine = FakeMachine(commit_s=20)
    async with open_session(machine, **WRITE, max_duration_s=60) as session:
        await session.established()
        await session.actor.handle.ask_to_end(EndReason.DELETED)
        await trio.sleep(10)
        assert (session.actor.info().state, machine.committed) == (SessionState.ENDING, [])
        machine.browsers["a"].crash()
        await session.ended.wait()
    assert (session.reason, commit_of(session)) == (EndReason.DELETED, Commit(generation=1))


async def test_login_that_was_lost_meanwhile_is_not_committed(autojump_clock: MockClock) -> None:
    """What the page has shown last counts."""
    machine = FakeMachine()
    async with open_session(machine, **WRITE, max_duration_s=60) as session:
        await session.established()
        machine.page = LoginState.LOGGED_OUT
        await session.actor.handle.judge()
        await session.actor.handle.end()
    assert (machine.committed, commit_of(session)) == (
        [],
        Commit(problem="The page did not show a login at last"),
    )


async def test_commit_is_not_cancelled(autojump_clock: MockClock) -> None:
    """A supervisor that stops waits for it: half of a commit helps nobody."""
    machine = FakeMachine(commit_s=20)
    async with open_session(machine, **WRITE) as session:
        await session.established()
        started = trio.current_time()
        await session.actor.handle.ask_to_end(EndReason.DELETED)
        await trio.sleep(1)
        session.actor._life.cancel()
        await session.ended.wait()
        assert trio.current_time() - started >= 20
    assert machine.committed == ["a"]
