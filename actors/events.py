"""What happens to a session, published once for all subscribers."""

import attrs

from greenroom.actors.errors import GreenroomError
from greenroom.actors.lifecycle import SessionInfo


@attrs.frozen(kw_only=True, repr=False)
class SessionEvent:
    """A session has entered a state: what logs, metrics and live views learn about it.

    `session` is the snapshot of that moment; `error` is the error that ended the session, or None.
    """

    session: SessionInfo
    error: GreenroomError | None = None

    def __repr__(self) -> str:
        session = self.session
        reason = f" ({session.reason.value})" if session.reason else ""
        return f"SessionEvent({session.id} is {session.state.value}{reason}, error={self.error!r})"
