"""Those who watch a live session, and the pictures that they share."""

import contextlib
import itertools

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from greenroom.actors.errors import ActionFailed, SessionEnded, SessionNotLive, TooManyWatchers
from greenroom.actors.events import EventKind
from greenroom.actors.lifecycle import SessionState, WatchMode
from greenroom.actors.session.view import Watching
from greenroom.actors.session.watchers import MAX_WATCHERS
from greenroom.actors.testing import FakeMachine
from tests.actors.session.test_actor import CREATING, open_session, reach, stuck_in
from tests.actors.session.test_commands import live_session


async def test_session_shows_who_watches_and_who_did(autojump_clock: MockClock) -> None:
    """By name and mode. Nobody who watches costs the browser anything before they ask for a picture."""
    machine = FakeMachine()
    async with live_session(machine) as session:
        handle = session.actor.handle
        async with handle.watch("Ada", WatchMode.CONTROL), handle.watch("Bob"):
            await trio.sleep(1)
            now = [(one.name, one.mode, one.until) for one in handle.info().watchers]
            assert now == [("Ada", WatchMode.CONTROL, None), ("Bob", WatchMode.VIEW, None)]
            assert machine.browsers["a"].pictures == 0
        await wait_all_tasks_blocked()
        assert handle.info().watchers == ()
        left = handle.info().watched
        assert {one.name for one in left} == {"Ada", "Bob"}
        assert all(one.until is not None and one.until >= one.since for one in left)
        kinds = [event.kind for event in session.events if event.kind is not EventKind.STATE]
        assert kinds == [EventKind.WATCHER_JOINED] * 2 + [EventKind.WATCHER_LEFT] * 2
        await handle.end()


async def test_so_many_watchers_and_no_more(autojump_clock: MockClock) -> None:
    """One that leaves makes room."""
    async with live_session() as session, contextlib.AsyncExitStack() as stack:
        handle = session.actor.handle
        for number in range(MAX_WATCHERS):
            await stack.enter_async_context(handle.watch(str(number)))
        with pytest.raises(TooManyWatchers, match="50 watch"):
            await stack.enter_async_context(handle.watch("one more"))
        await stack.aclose()
        await wait_all_tasks_blocked()
        async with handle.watch("one more"):
            pass
        await handle.end()


async def follow(watching: Watching, seen: list[int], *, fps: float = 10, pause_s: float = 0) -> None:
    """Take pictures until the session ends."""
    seq = 0
    with contextlib.suppress(SessionEnded):
        while True:
            seq = (await watching.view.next(seq, fps=fps, quality=60)).seq
            seen.append(seq)
            await trio.sleep(pause_s)


async def test_watchers_share_one_stream_and_the_slow_skip_pictures(autojump_clock: MockClock) -> None:
    """The browser is asked once, for what the most demanding wants; nobody waits for a slower one."""
    machine = FakeMachine()
    async with live_session(machine) as session, trio.open_nursery() as nursery:
        handle = session.actor.handle
        async with handle.watch("fast") as fast, handle.watch("slow") as slow:
            by_fast: list[int] = []
            by_slow: list[int] = []
            nursery.start_soon(follow, fast, by_fast)
            nursery.start_soon(lambda: follow(slow, by_slow, fps=2, pause_s=1.05))
            await trio.sleep(5.04)
            assert machine.browsers["a"].views == [(10, 60)]
            assert by_fast == list(range(1, 52))
            assert by_slow[0] == 1
            assert len(by_slow) == 5
            assert all(later - earlier >= 9 for earlier, later in itertools.pairwise(by_slow))
            await handle.end()


async def test_browser_takes_no_picture_that_nobody_waits_for(autojump_clock: MockClock) -> None:
    """The stream ends soon after the last wish, and begins again with the next."""
    machine = FakeMachine()
    async with live_session(machine) as session, session.actor.handle.watch("Ada") as watching:
        browser = machine.browsers["a"]
        for first in (1, 2):
            picture = await watching.view.next(0, fps=10, quality=60)
            assert (picture.seq, browser.pictures) == (first, first)
            await trio.sleep(0.4)
            assert browser.views == [(10, 60)]
            await trio.sleep(0.2)
            assert (browser.views, browser.pictures) == ([], first)
        await session.actor.handle.end()


async def test_watcher_with_higher_wishes_gets_them(autojump_clock: MockClock) -> None:
    """The stream begins anew; one who leaves takes the wishes along with the next start."""
    machine = FakeMachine()
    async with live_session(machine) as session, trio.open_nursery() as nursery:
        handle = session.actor.handle
        async with handle.watch("modest") as modest, handle.watch("demanding") as demanding:
            nursery.start_soon(lambda: follow(modest, [], fps=1))
            await trio.sleep(0.5)
            assert machine.browsers["a"].views == [(1, 60)]
            started = trio.current_time()
            seq = (await demanding.view.next(1, fps=20, quality=60)).seq
            assert trio.current_time() == started
            await demanding.view.next(seq, fps=20, quality=60)
            assert trio.current_time() - started == pytest.approx(0.05)
            assert machine.browsers["a"].views == [(20, 60)]
            await handle.end()


async def test_end_of_the_session_is_the_end_of_watching(autojump_clock: MockClock) -> None:
    """For one who waits for a picture, and one who asks later."""
    machine = FakeMachine()
    async with live_session(machine) as session, trio.open_nursery() as nursery:
        handle = session.actor.handle
        async with handle.watch("Ada") as watching:

            async def wait() -> None:
                with pytest.raises(SessionEnded):
                    await watching.view.next(1000, fps=1, quality=1)

            nursery.start_soon(wait)
            await trio.sleep(3)
            await handle.end()
            with pytest.raises(SessionEnded):
                await watching.view.next(0, fps=1, quality=1)
    assert handle.info().watchers == ()
    assert [one.name for one in handle.info().watched] == ["Ada"]


@pytest.mark.parametrize("state", CREATING)
async def test_session_that_is_not_live_can_not_be_watched(
    autojump_clock: MockClock, state: SessionState
) -> None:
    """Before it is live and after its end."""
    async with open_session(stuck_in(state)) as session:
        await reach(session, state)
        with pytest.raises(SessionNotLive):
            async with session.actor.handle.watch("Ada"):
                pass
        await session.actor.handle.end()
        with pytest.raises(SessionEnded):
            async with session.actor.handle.watch("Ada"):
                pass


async def test_pictures_that_fail_end_no_session(autojump_clock: MockClock) -> None:
    """They are asked for again; whoever waits gets one once it works."""
    machine = FakeMachine(view_error=ActionFailed("no pictures"))
    async with (
        live_session(machine) as session,
        trio.open_nursery() as nursery,
        session.actor.handle.watch("Ada") as watching,
    ):
        seen: list[int] = []
        nursery.start_soon(follow, watching, seen)
        await trio.sleep(5)
        assert seen == []
        machine.view_error = None
        await trio.sleep(2)
        assert seen
        assert session.actor.info().state is SessionState.LIVE
        await session.actor.handle.end()
