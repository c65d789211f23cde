"""Which profiles warm sessions are of: pure arithmetic."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.supervisor.demand import LATELY, Demand


def usable(_name: str) -> bool:
    return True


def demand_of(asked: str) -> Demand:
    """Return the demand after sessions of the profiles `a`, `b`, ... one letter each, the latest last."""
    demand = Demand()
    for name in asked:
        demand.note(name)
    return demand


@pytest.mark.parametrize(
    ("asked", "size", "shares"),
    [
        ("", 2, {"default": 2}),
        ("a", 2, {"a": 2}),
        ("aaab", 1, {"a": 1}),
        ("aaab", 4, {"a": 3, "b": 1}),
        ("aaabbc", 3, {"a": 2, "b": 1}),
        ("a" * LATELY + "b" * (LATELY // 2 + 1), 1, {"b": 1}),
        ("a" * LATELY + "b" * LATELY, 2, {"b": 2}),
    ],
)
def test_warm_sessions_are_divided_by_what_was_asked_for_lately(
    asked: str, size: int, shares: dict[str, int]
) -> None:
    """In proportion; before anything is asked for, all are of the default profile."""
    assert demand_of(asked).shares(size, {}, usable) == shares


def test_profile_that_is_logged_out_or_gone_gets_none() -> None:
    """Its share goes to the others. If it is the only one, nothing is launched."""
    demand = demand_of("aaab")
    assert demand.shares(2, {}, lambda name: name != "a") == {"b": 2}
    demand.forget("b")
    assert demand.shares(2, {}, lambda name: name != "a") == {"default": 2}
    assert demand.shares(2, {}, lambda _: False) == {}
    assert demand.most_wanted(2, {}, lambda _: False) is None


def test_profiles_that_come_out_even_keep_what_they_have() -> None:
    """Or alternating requests would replace the warm session each time."""
    demand = demand_of("abababab")
    assert demand.shares(1, {"a": 1}, usable) == {"a": 1}
    assert demand.shares(1, {"b": 1}, usable) == {"b": 1}
    demand.note("a")
    assert demand.shares(1, {"b": 1}, usable) == {"a": 1}


@given(st.text("abc", max_size=40), st.integers(0, 6), st.lists(st.sampled_from("abc"), max_size=6))
def test_filling_up_reaches_the_shares(asked: str, size: int, kept: list[str]) -> None:
    """Launching what is wanted most, and ending what is not wanted, comes to rest."""
    demand, warm = demand_of(asked), Counter(kept)
    for _ in range(20):
        warm -= warm - demand.shares(size, warm, usable)
        wanted = demand.most_wanted(size, warm, usable)
        if wanted is None:
            break
        warm[wanted] += 1
    assert warm == demand.shares(size, warm, usable)
    assert warm.total() == size
