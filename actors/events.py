"""What happens to sessions and hosts, published once for all subscribers."""

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
    PROFILE_ROTATED = "profile_rotated"
    """The site has renewed its login, which is lost with it, since it only reads its profile."""
    ACTION = "action"
    """Something was done in its pages: `action` has what."""
    CONTROL = "control"
    """A person has taken control, or programs have it again: see `session.control`."""
    WATCHER_JOINED = "watcher_joined"
    """Somebody watches it."""
    WATCHER_LEFT = "watcher_left"
    """Somebody has stopped watching it."""


@attrs.frozen(kw_only=True)
class ActionNote:
    """One action that was carried out, without what was typed.

    `target` is the element, or the URL without its query. `outcome` is `ok`, `cancelled`, or the name of the
    error's class. `page` is None for the selected page.
    """

    kind: str
    target: str | None
    page: str | None
    ms: int
    outcome: str


@attrs.frozen(kw_only=True, repr=False)
class SessionEvent:
    """Something has happened to a session: what logs, metrics and live views learn about it.

    `session` is the snapshot of that moment; `error` is the error that ended the session, or None. Only an
    ACTION has an `action`.
    """

    kind: EventKind = EventKind.STATE
    session: SessionInfo
    error: GreenroomError | None = None
    action: ActionNote | None = None

    def __repr__(self) -> str:
        session = self.session
        reason = f" ({session.reason.value})" if session.reason else ""
        what = session.state.value if self.kind is EventKind.STATE else self.kind.value
        return f"SessionEvent({session.id} is {what}{reason}, error={self.error!r})"


class HostChange(enum.Enum):
    """What has become of a browser host."""

    STARTED = "started"
    """It takes sessions."""
    LOST = "lost"
    """It has died, stalled or used too much, and so have its sessions' browsers."""
    ENDED = "ended"
    """It is gone."""


@attrs.frozen(kw_only=True)
class HostEvent:
    """Something has happened to a browser host, which had so many `sessions` then."""

    change: HostChange
    host: str
    sessions: int


Event = SessionEvent | HostEvent
