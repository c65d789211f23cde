"""How glibc keeps this process's memory; other C libraries are left to themselves."""

import ctypes
import gc
from typing import Final

_M_ARENA_MAX: Final = -8  # malloc.h; see mallopt(3)


def keep_one_arena() -> bool:
    """Have all threads of this process allocate from one heap, and return whether that took.

    By itself, glibc gives threads heaps of their own, in which stays what they freed: a daemon that works in
    short-lived threads so grows by megabytes with nothing kept. To be called once, before the first thread
    starts; what was made until then stays.
    """
    libc = _glibc()
    return libc is not None and bool(libc.mallopt(_M_ARENA_MAX, 1))


def give_back_memory() -> bool:
    """Give the system those pages of the heap in which nothing is left, and return whether there were any.

    By itself, glibc gives back what is free at the heap's end only, and holes between what lasts add up.
    Blocks for a few milliseconds. See malloc_trim(3).
    """
    libc = _glibc()
    return libc is not None and bool(libc.malloc_trim(0))


def collect_rarely() -> None:
    """Let Python look for cyclic garbage rarely. To be called once, when all is imported.

    A session leaves none when it has ended, and has 180 objects that the collector would go through time and
    again: with 10,000 sessions that takes seconds at a stretch. What is new is looked at often, since that
    stops the daemon for 1.5 us an object; what has lasted, every 5 million new objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_500, 2_000, 100)


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
