"""Who may launch, and when: places, the queue, patient launches, hurry, and requests that would be late."""

import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from greenroom.actors.admission import Admission


class Launches:
    """Launches through one admission, each of a given length. `began` lists them in order."""

    def __init__(self, max_launching: int) -> None:
        self.admission = Admission(max_launching)
        self.began: list[str] = []
        self.scopes: dict[str, trio.CancelScope] = {}

    async def launch(
        self, name: str, seconds: float = 1, *, is_patient: bool = False, deadline: float = math.inf
    ) -> None:
        with (
            trio.CancelScope() as self.scopes[name],
            self.admission.place(deadline=deadline, is_patient=is_patient) as place,
        ):
            await place.wait()
            self.began.append(name)
            await trio.sleep(seconds)
            place.leave()
            await trio.sleep_forever()


async def test_so_many_launch_at_once_and_the_others_in_order(autojump_clock: MockClock) -> None:
    """With two places, the third launch waits for the end of the first, and the fourth for the second."""
    launches = Launches(2)
    async with trio.open_nursery() as nursery:
        for name, seconds in (("a", 1), ("b", 1.1), ("c", 1), ("d", 1)):
            nursery.start_soon(launches.launch, name, seconds)
            await wait_all_tasks_blocked()
        assert launches.began == ["a", "b"]
        await trio.sleep(1.5)
        assert launches.began == ["a", "b", "c", "d"]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("who", ["a", "b"])
async def test_giving_up_frees_the_place(autojump_clock: MockClock, who: str) -> None:
    """A cancelled launch that hangs lets the next one start; a cancelled waiter leaves the queue."""
    launches = Launches(1)
    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(launches.launch, name, 5 if name == "a" else 1)
            await wait_all_tasks_blocked()
        launches.scopes[who].cancel()
        await trio.sleep(8)
        assert launches.began == [name for name in "abc" if name == "a" or name != who]
        nursery.cancel_scope.cancel()


async def test_patient_launches_go_one_at_a_time_and_after_all_others(autojump_clock: MockClock) -> None:
    """Even with three places, patient launches go one at a time, and only while no other launch waits."""
    launches = Launches(3)
    async with trio.open_nursery() as nursery:
        for name in ("warm1", "warm2"):
            nursery.start_soon(lambda name: launches.launch(name, 4, is_patient=True), name)
            await wait_all_tasks_blocked()
        assert launches.began == ["warm1"]
        for name in "abc":
            nursery.start_soon(launches.launch, name, 10)
            await wait_all_tasks_blocked()
        assert launches.began == ["warm1", "a", "b"]
        await trio.sleep(4.5)
        assert launches.began == ["warm1", "a", "b", "c"]
        await trio.sleep(10)
        assert launches.began == ["warm1", "a", "b", "c", "warm2"]
        nursery.cancel_scope.cancel()


async def test_hurry_keeps_patient_launches_waiting(autojump_clock: MockClock) -> None:
    """While a caller is about to get a session, patient launches wait; other launches don't."""
    launches = Launches(2)
    async with trio.open_nursery() as nursery:
        with launches.admission.hurry():
            nursery.start_soon(lambda: launches.launch("warm", is_patient=True))
            nursery.start_soon(launches.launch, "a")
            await trio.sleep(5)
            assert launches.began == ["a"]
        await wait_all_tasks_blocked()
        assert launches.began == ["a", "warm"]
        nursery.cancel_scope.cancel()


async def test_request_that_would_be_too_late_learns_when_to_retry(autojump_clock: MockClock) -> None:
    """With one place and launches of 4 s, the third in the queue can't make it; the first is done by 12 s."""
    launches = Launches(1)
    async with trio.open_nursery() as nursery:
        assert launches.admission.overload(trio.current_time()) is None  # nothing has been measured yet
        nursery.start_soon(launches.launch, "first", 4)
        await trio.sleep(5)
        for name in "ab":
            nursery.start_soon(
                lambda name: launches.launch(name, 4, deadline=12 if name == "a" else 20), name
            )
            await wait_all_tasks_blocked()
        assert launches.admission.overload(trio.current_time() + 12) is None
        assert launches.admission.overload(trio.current_time() + 10) == 12 - 5
        launches.scopes["b"].cancel()
        await wait_all_tasks_blocked()
        assert launches.admission.overload(trio.current_time() + 10) is None
        nursery.cancel_scope.cancel()


async def test_waiter_that_gives_up_takes_no_turn_while_it_cleans_up(autojump_clock: MockClock) -> None:
    """The next in the queue doesn't wait while an abandoned session removes its clone."""
    launches = Launches(1)

    async def give_up() -> None:
        with launches.admission.place(deadline=math.inf) as place:
            with trio.move_on_after(1):
                await place.wait()
            await trio.sleep(100)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(launches.launch, "a", 2)
        await wait_all_tasks_blocked()
        nursery.start_soon(give_up)
        await wait_all_tasks_blocked()
        nursery.start_soon(launches.launch, "b", 2)
        await trio.sleep(3)
        assert launches.began == ["a", "b"]
        nursery.cancel_scope.cancel()
