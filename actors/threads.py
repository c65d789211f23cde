"""Threads for what blocks, so many for each purpose: one disk that hangs holds up what needs it, and no more.

Trio's own limiter is one for all. With it, forty looks at a master profile on a dead disk would keep every
ledger entry from being written and every clone from being removed.
"""

import enum
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

_AT_ONCE = 8

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Purpose(enum.Enum):
    """What threads are for."""

    MASTER = enum.auto()
    """Looking at the master profile."""
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
    """Looking at all that this daemon owns."""
    SAMPLING = enum.auto()
    """Measuring what sessions and hosts use."""


_limiters = trio.lowlevel.RunVar[dict[Purpose, trio.CapacityLimiter]]("greenroom threads")


def limiter(purpose: Purpose) -> trio.CapacityLimiter:
    """Return the limiter of a purpose in this Trio run."""
    try:
        limiters = _limiters.get()
    except LookupError:
        _limiters.set(limiters := {})
    if purpose not in limiters:
        limiters[purpose] = trio.CapacityLimiter(_AT_ONCE)
    return limiters[purpose]


async def in_thread(purpose: Purpose, function: Callable[[*Ts], T], *args: *Ts) -> T:
    """Return what `function` does in a thread, which is left to itself when this is cancelled."""
    return await trio.to_thread.run_sync(function, *args, limiter=limiter(purpose), abandon_on_cancel=True)


async def finish_in_thread(purpose: Purpose, function: Callable[[*Ts], T], *args: *Ts, within_s: float) -> T:
    """Return what `function` does in a thread, cancelled or not; without one where none can be had.

    Raises `trio.TooSlowError` after `within_s`, and then leaves the thread to itself.
    """
    with trio.fail_after(within_s, shield=True):
        try:
            return await in_thread(purpose, function, *args)
        except RuntimeError:  # no thread can be started: cleaning up comes before a loop that never pauses
            return function(*args)
