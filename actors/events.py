"""What happens to a session, published once for whoever wants to know."""

import attrs

from actors.errors import GreenroomError
from actors.lifecycle import SessionInfo


@attrs.frozen(kw_only=True, repr=False)
class SessionEvent:
    """A session entered a state: what logs, metrics and live views learn of it.

    `session` is the snapshot taken at that moment; `error` is what ended the session, None while all is well.
    """

    session: SessionInfo
    error: GreenroomError | None = None

    def __repr__(self) -> str:
        session = self.session
        reason = f" ({session.reason.value})" if session.reason else ""
        return f"SessionEvent({session.id} is {session.state.value}{reason}, error={self.error!r})"
