"""What happens to a session, published once for whoever wants to know."""

import attrs

from actors.errors import GreenroomError
from actors.lifecycle import SessionInfo


@attrs.frozen(kw_only=True)
class SessionEvent:
    """A session entered a state: what logs, metrics and live views learn of it.

    `session` is the snapshot taken at that moment; `error` is what ended the session, None while all is well.
    """

    session: SessionInfo
    error: GreenroomError | None = None
