"""What a client that is attached to a session has of it."""

from collections.abc import Awaitable, Callable

import attrs

from greenroom.actors.machine.ports import DriverConnection
from greenroom.actors.relay.shared import Shared


@attrs.frozen(kw_only=True, eq=False)
class Attachment:
    """One client's place in a live session, as `SessionHandle.attach` opens it.

    `shared` is that of all the session's clients. `why_held` says why clients may not act in pages now, ""
    if they may, and `wait_free` returns once they may. `note_refusal` is to be called with the type and the
    method of each call that is refused, and `end_session` when the client closes the context.
    """

    driver: DriverConnection
    shared: Shared
    why_held: Callable[[], str]
    wait_free: Callable[[], Awaitable[None]]
    note_refusal: Callable[[str, str], None]
    end_session: Callable[[], None]
