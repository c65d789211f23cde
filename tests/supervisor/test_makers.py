"""How many sessions one maker may have at once, whatever becomes of the requests for them."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from greenroom import Supervisor
from greenroom.actors.errors import TooManySessions
from greenroom.actors.session.order import Maker
from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.api import open_supervisor
from greenroom.supervisor.config import SupervisorConfig

ADA, BOB = Maker(name="Ada", max_sessions=1), Maker(name="Bob")


@contextlib.asynccontextmanager
async def supervising(machine: FakeMachine | None = None, **settings: Any) -> AsyncIterator[Supervisor]:
    """Run a supervisor over a fake machine."""
    config = SupervisorConfig(**{"warm_sessions": 0, "max_session_duration": 100, **settings})
    async with open_supervisor(config, machine=machine or FakeMachine()) as supervisor:
        yield supervisor


async def test_maker_has_no_more_than_their_share_and_others_go_on(autojump_clock: MockClock) -> None:
    """The refusal says when the first of theirs must have ended. Then there is room again."""
    async with supervising() as supervisor:
        first = await supervisor.create_session(maker=ADA)
        await trio.sleep(40)
        with pytest.raises(TooManySessions) as caught:
            await supervisor.create_session(maker=ADA)
        assert 60 <= caught.value.retry_after_s < 80
        for maker in (BOB, BOB, None):
            await supervisor.create_session(maker=maker)
        await supervisor.end_session(first.id)
        await supervisor.create_session(maker=ADA)


async def test_logins_and_browsing_count_too(autojump_clock: MockClock) -> None:
    """They are sessions like others."""
    async with supervising() as supervisor:
        await supervisor.open_browse("shop", maker=ADA)
        for create in (supervisor.create_session, supervisor.open_login, supervisor.open_browse):
            with pytest.raises(TooManySessions):
                await create(profile="other", maker=ADA)


async def test_session_that_a_caller_has_left_counts_until_it_is_gone(autojump_clock: MockClock) -> None:
    """Hanging up again and again makes no more of them than the share."""
    machine = FakeMachine(launch_s=10, remove_s=5)
    async with supervising(machine) as supervisor:
        with trio.move_on_after(1):
            await supervisor.create_session(maker=ADA)
        assert len(machine.clones) == 1
        with pytest.raises(TooManySessions):
            await supervisor.create_session(maker=ADA)
        await trio.sleep(20)
        assert machine.clones == set()
        await supervisor.create_session(maker=ADA)


async def test_two_requests_at_once_get_one_share(autojump_clock: MockClock) -> None:
    """Neither is ahead of the other's count."""
    refused: list[TooManySessions] = []

    async def create(supervisor: Supervisor) -> None:
        try:
            await supervisor.create_session(maker=ADA)
        except TooManySessions as exc:
            refused.append(exc)

    async with supervising(FakeMachine(launch_s=1)) as supervisor:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(create, supervisor)
        assert len(refused) == 4
        assert len(await supervisor.list_sessions()) == 1


async def test_key_is_free_as_long_as_it_is_answered_from_memory(autojump_clock: MockClock) -> None:
    """Also for a second caller, when the first has left. A refusal is not remembered under the key."""
    async with supervising(FakeMachine(launch_s=5), max_session_duration=3000) as supervisor:
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(1):
                nursery.start_soon(lambda: supervisor.create_session("key", maker=ADA))
                await supervisor.create_session("key", maker=ADA)
        info = await supervisor.create_session("key", maker=ADA)
        with pytest.raises(TooManySessions):
            await supervisor.create_session("other", maker=ADA)
        await trio.sleep(1000)  # the key is forgotten, and the session lives
        with pytest.raises(TooManySessions):
            await supervisor.create_session("key", maker=ADA)
        await supervisor.end_session(info.id)
        assert (await supervisor.create_session("other", maker=ADA)).id != info.id


async def test_warm_session_counts_for_whoever_gets_it(autojump_clock: MockClock) -> None:
    """Not for anybody before."""
    async with supervising(warm_sessions=2) as supervisor:
        while (await supervisor.count_sessions()).warm < 2:
            await trio.sleep(1)
        await supervisor.create_session(maker=ADA)
        with pytest.raises(TooManySessions):
            await supervisor.create_session(maker=ADA)
        await supervisor.create_session(maker=BOB)
