"""What happens to a session, published once for all subscribers."""

import enum

import attrs

from greenroom.actors.errors import GreenroomError
from greenroom.actors.lifecycle import SessionInfo


class EventKind(enum.Enum):
    """What has happened to a session."""

    STATE = "state"
    """It has entered a state."""
    EXTENDED = "extended"
    """It may live longer: `expires_at` is later."""
    ATTACHED = "attached"
    """A client has come with a Playwright of its own; `clients` counts it."""
    DETACHED = "detached"
    """Such a client has gone."""
    LOGIN_LOST = "login_lost"
    """A page that was looked at again shows that nobody is logged in any more."""
    LOGIN_BACK = "login_back"
    """After that, a page shows a login again."""


@attrs.frozen(kw_only=True, repr=False)
class SessionEvent:
    """Something has happened to a session: what logs, metrics and live views learn about it.

    `session` is the snapshot of that moment; `error` is the error that ended the session, or None.
    """

    kind: EventKind = EventKind.STATE
    session: SessionInfo
    error: GreenroomError | None = None

    def __repr__(self) -> str:
        session = self.session
        reason = f" ({session.reason.value})" if session.reason else ""
        what = session.state.value if self.kind is EventKind.STATE else self.kind.value
        return f"SessionEvent({session.id} is {what}{reason}, error={self.error!r})"
