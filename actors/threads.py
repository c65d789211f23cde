"""Threads for blocking calls, with a limit for each kind of work: a disk that hangs blocks what needs it.

Trio's default limiter is shared by everything. With it, forty checks of a master profile on a dead disk would
keep every ledger entry from being written and every clone from being removed.
"""

import enum
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

# A hung call keeps its thread until the disk answers, so this also bounds the threads lost.
_AT_ONCE = 8

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Work(enum.Enum):
    """What a thread is for; each kind has its own limiter."""

    MASTER = enum.auto()
    """Checking the master profile."""
    ROOM = enum.auto()
    """Asking the machine whether it has room for a session."""
    LEDGER = enum.auto()
    """Reading and writing the ledger, and making a session's directories."""
    ENDING = enum.auto()
    """Ending processes."""
    SCANNING = enum.auto()
    """Finding the processes of sessions and hosts."""
    REMOVAL = enum.auto()
    """Measuring and removing a session's directories."""
    SURVEY = enum.auto()
    """Finding everything that this daemon owns."""
    SAMPLING = enum.auto()
    """Measuring what sessions and hosts use."""
    RESULTS = enum.auto()
    """Writing and reading the files that clients send to sessions and get from them."""
    BUNDLES = enum.auto()
    """Making the bundles of sessions that have failed."""


_limiters = trio.lowlevel.RunVar[dict[Work, trio.CapacityLimiter]]("greenroom threads")


def limiter(work: Work) -> trio.CapacityLimiter:
    """Return the limiter of a kind of work in this Trio run."""
    try:
        limiters = _limiters.get()
    except LookupError:
        _limiters.set(limiters := {})
    if work not in limiters:
        limiters[work] = trio.CapacityLimiter(_AT_ONCE)
    return limiters[work]


async def in_thread(work: Work, function: Callable[[*Ts], T], *args: *Ts) -> T:
    """Return the result of `function`, run in a thread. Cancellation abandons the thread."""
    return await trio.to_thread.run_sync(function, *args, limiter=limiter(work), abandon_on_cancel=True)


async def finish_in_thread(work: Work, function: Callable[[*Ts], T], *args: *Ts, within_s: float) -> T:
    """Return the result of `function`, run in a thread, cancelled or not; without one if none can start.

    Raises `trio.TooSlowError` after `within_s`, and abandons the thread.
    """
    with trio.fail_after(within_s, shield=True):
        try:
            return await in_thread(work, function, *args)
        except RuntimeError:  # no thread can be started: a blocked event loop is better than no cleanup
            return function(*args)
