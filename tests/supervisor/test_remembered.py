"""The map that forgets."""

import pytest
import trio
from trio.testing import MockClock

from greenroom.supervisor import remembered
from greenroom.supervisor.remembered import KEEP_S, Remembered


async def test_value_is_remembered_for_its_time_and_no_longer(autojump_clock: MockClock) -> None:
    """The time counts from when the value was last put there."""
    values = Remembered[str, int]()
    values.put("a", 1)
    await trio.sleep(KEEP_S / 2)
    values.put("b", 2)
    await trio.sleep(KEEP_S / 2 - 1)
    assert (values.get("a"), values.get("b"), values.get("c")) == (1, 2, None)
    await trio.sleep(1)
    assert (values.get("a"), values.get("b")) == (None, 2)
    values.put("b", 3)
    await trio.sleep(KEEP_S - 1)
    assert values.get("b") == 3
    await trio.sleep(1)
    assert values.get("b") is None


async def test_oldest_is_forgotten_where_there_are_too_many(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that was put there again is no longer the oldest."""
    monkeypatch.setattr(remembered, "KEEP", 2)
    values = Remembered[str, int]()
    for key in ("a", "b", "a", "c"):
        values.put(key, 0)
    assert [values.get(key) for key in ("a", "b", "c")] == [0, None, 0]


async def test_values_put_there_after_a_moment_are_known(autojump_clock: MockClock) -> None:
    """Values put there at the moment itself don't count."""
    values = Remembered[str, int]()
    values.put("before", 0)
    await trio.sleep(1)
    values.put("at", 0)
    moment = trio.current_time()
    await trio.sleep(1)
    values.put("after", 0)
    assert values.since(moment) == {"after"}
