"""What somebody asks for who asks for a session."""

import math

import attrs

from greenroom.actors.lifecycle import DEFAULT_USE, ProfileUse, Purpose
from greenroom.actors.machine.storage_state import StorageState


@attrs.frozen(kw_only=True)
class Maker:
    """Who asks for sessions, and how many they may have at once; None means no limit of their own."""

    name: str
    max_sessions: int | None = None


@attrs.frozen(kw_only=True)
class Order:
    """Which session is asked for, and by whom. What is None is as the settings have it.

    With a `state`, the browser gets it before it loads a page. `duration_s` is how long it may live. Raises
    `ValueError` if that is no time.
    """

    profile: ProfileUse = DEFAULT_USE
    purpose: Purpose = Purpose.SESSION
    url: str | None = None
    headless: bool | None = None
    duration_s: float | None = attrs.field(default=None)
    state: StorageState | None = attrs.field(default=None, repr=False)
    maker: Maker | None = None

    @duration_s.validator
    def _check_duration(self, _field: object, value: float | None) -> None:
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"A session's time is a number of seconds above 0, not {value!r}")


DEFAULT_ORDER = Order()
