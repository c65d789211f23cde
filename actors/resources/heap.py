"""Tunes how glibc and Python keep this process's memory. Does nothing to other C libraries."""

import ctypes
import gc
from typing import Final

_M_ARENA_MAX: Final = -8  # malloc.h; see mallopt(3)


def keep_one_arena() -> bool:
    """Make all threads of this process allocate from one heap; return whether that worked.

    By default glibc gives threads their own heaps, which keep what the threads freed. A daemon that works in
    short-lived threads then grows by megabytes without holding anything. Call it once, before the first
    thread starts; heaps that exist by then stay.
    """
    libc = _glibc()
    return libc is not None and bool(libc.mallopt(_M_ARENA_MAX, 1))


def give_back_memory() -> bool:
    """Return the heap's empty pages to the system; return whether there were any.

    By default glibc returns only memory at the heap's end, so holes between long-lived objects add up.
    Blocks for a few milliseconds. See malloc_trim(3).
    """
    libc = _glibc()
    return libc is not None and bool(libc.malloc_trim(0))


def collect_rarely() -> None:
    """Make Python collect cyclic garbage rarely. Call it once, after all imports.

    An ended session leaves no cycles. A live one has 180 objects, which each full collection would traverse
    again: with 10,000 sessions that takes seconds at a stretch. The youngest generation is collected often,
    in small portions, because a collection stops the daemon for 1.5 us per object; the oldest only every
    5 million new objects.
    """
    gc.collect()
    gc.freeze()  # modules and classes live as long as the process: no collection need look at them
    gc.set_threshold(2_500, 2_000, 100)


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
