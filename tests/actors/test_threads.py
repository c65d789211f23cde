"""Each purpose has its own threads: a hung call delays only its own purpose, and cleanup has a time limit."""

import threading
from collections.abc import Iterator

import pytest
import trio

from greenroom.actors.threads import Work, finish_in_thread, in_thread, limiter
from tests.patience import patience


@pytest.fixture
def disk() -> Iterator[threading.Event]:
    """A disk that hangs until the test is over."""
    recovers = threading.Event()
    try:
        yield recovers
    finally:
        recovers.set()


async def test_forty_hung_looks_at_a_master_hold_up_nothing_else(disk: threading.Event) -> None:
    """Each purpose has its own threads, and Trio's default ones stay free for everything else."""

    async def look() -> None:
        await in_thread(Work.MASTER, disk.wait)

    with trio.fail_after(patience(5)):
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(look)
            while not limiter(Work.MASTER).statistics().tasks_waiting:
                await trio.lowlevel.checkpoint()
            for work in set(Work) - {Work.MASTER}:
                assert await in_thread(work, lambda: "done") == "done"
            assert await trio.to_thread.run_sync(lambda: "done") == "done"
            nursery.cancel_scope.cancel(reason="a test")


async def test_cancelling_leaves_a_hung_thread_to_itself(disk: threading.Event) -> None:
    """A cancelled caller returns at once."""
    with trio.fail_after(patience(5)), trio.move_on_after(0.01) as limit:
        await in_thread(Work.MASTER, disk.wait)
    assert limit.cancelled_caught


async def test_cleaning_up_is_not_cut_short_by_cancellation() -> None:
    """Quick cleanup finishes, even if the caller is cancelled."""
    with trio.CancelScope() as scope:
        scope.cancel(reason="a test")
        assert await finish_in_thread(Work.REMOVAL, lambda: "done", within_s=5) == "done"


async def test_cleaning_up_is_bounded_though_cancelled(disk: threading.Event) -> None:
    """A shield without a limit could wait forever for a hung disk."""
    with trio.fail_after(patience(5)), trio.CancelScope() as scope:
        scope.cancel(reason="a test")
        with pytest.raises(trio.TooSlowError):
            await finish_in_thread(Work.REMOVAL, disk.wait, within_s=0.01)


async def test_cleaning_up_takes_place_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without a free thread, cleanup runs in the caller: no cookies are left after a session."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(trio.to_thread, "run_sync", refuse)
    assert await finish_in_thread(Work.REMOVAL, lambda: "done", within_s=5) == "done"


def test_limiters_belong_to_one_run() -> None:
    """A second Trio run in the process has its own limiters."""

    async def get() -> trio.CapacityLimiter:
        return limiter(Work.MASTER)

    assert trio.run(get) is not trio.run(get)
