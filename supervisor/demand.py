"""Which profiles sessions were asked for lately, and so which ones warm sessions should be of."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from greenroom.actors.lifecycle import DEFAULT_PROFILE

LATELY: Final = 12
"""How many of the last sessions count."""


@attrs.define(eq=False)
class Demand:
    """Divides warm sessions among profiles, in proportion to how many of the last sessions were of each.

    Before there are any, all are the default profile's. The division is D'Hondt's. Of two profiles that come
    out even, the one keeps its warm session that has it.
    """

    _recent: deque[str] = attrs.field(factory=lambda: deque(maxlen=LATELY), init=False)

    def note(self, profile: str) -> None:
        """Note that a session of a profile, which somebody has asked for, is live."""
        self._recent.append(profile)

    def forget(self, profile: str) -> None:
        """Forget a profile that is not there any more."""
        self._recent = deque((name for name in self._recent if name != profile), maxlen=LATELY)

    def shares(self, size: int, kept: Mapping[str, int], is_usable: Callable[[str], bool]) -> Counter[str]:
        """Return how many of `size` warm sessions each profile should have; unusable ones get none."""
        asked = {name: count for name, count in Counter(self._recent).items() if is_usable(name)}
        if not asked and is_usable(DEFAULT_PROFILE):
            asked = {DEFAULT_PROFILE: 1}
        shares: Counter[str] = Counter()
        for _ in range(size if asked else 0):
            shares[max(asked, key=lambda name: _claim(name, asked, shares, kept))] += 1
        return shares

    def most_wanted(self, size: int, kept: Mapping[str, int], is_usable: Callable[[str], bool]) -> str | None:
        """Return the profile that lacks a warm session most; None if all have theirs."""
        lacking = self.shares(size, kept, is_usable) - Counter(kept)
        return lacking.most_common(1)[0][0] if lacking else None


def _claim(
    name: str, asked: Mapping[str, int], shares: Mapping[str, int], kept: Mapping[str, int]
) -> tuple[float, bool]:
    given = shares.get(name, 0)
    return asked[name] / (given + 1), given < kept.get(name, 0)
