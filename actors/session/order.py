"""What somebody asks for who asks for a session."""

import attrs

from greenroom.actors.lifecycle import DEFAULT_USE, ProfileUse, Purpose
from greenroom.actors.machine.storage_state import StorageState


@attrs.frozen(kw_only=True)
class Order:
    """Which session is asked for. What is None is as the settings have it.

    With a `state`, the browser gets it before it loads a page. `duration_s` is how long it may live.
    """

    profile: ProfileUse = DEFAULT_USE
    purpose: Purpose = Purpose.SESSION
    url: str | None = None
    headless: bool | None = None
    duration_s: float | None = None
    state: StorageState | None = attrs.field(default=None, repr=False)


DEFAULT_ORDER = Order()
