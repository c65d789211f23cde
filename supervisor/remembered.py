"""A map with expiry. It remembers for some time how sessions ended and what creations led to."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

import attrs
import trio

# How long a value is remembered, and how many of one kind at most.
KEEP_S = 15 * 60
KEEP = 10_000

K = TypeVar("K")
V = TypeVar("V")


@attrs.define(eq=False, repr=False)
class Remembered(Generic[K, V]):
    """A map that drops each value after 15 minutes, and the oldest one earlier if there are too many."""

    _kept: OrderedDict[K, tuple[float, V]] = attrs.field(factory=OrderedDict, init=False)

    def put(self, key: K, value: V) -> None:
        """Remember `value` from now on."""
        self._kept[key] = (trio.current_time(), value)
        self._kept.move_to_end(key)
        self._forget()

    def get(self, key: K) -> V | None:
        """Return the value under `key`, or None."""
        self._forget()
        kept = self._kept.get(key)
        return None if kept is None else kept[1]

    def latest(self) -> Iterator[V]:
        """Return the values, the latest first."""
        self._forget()
        return (value for _, value in reversed(self._kept.values()))

    def since(self, moment: float) -> set[K]:
        """Return the keys of values that were put after `moment`, on Trio's clock."""
        return {key for key, (at, _) in self._kept.items() if at > moment}

    def _forget(self) -> None:
        oldest_kept = trio.current_time() - KEEP_S
        while self._kept:
            key, (at, _) = next(iter(self._kept.items()))
            if at > oldest_kept and len(self._kept) <= KEEP:
                return
            del self._kept[key]
