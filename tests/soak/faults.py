"""The faults of a soak. Each cycle has one, drawn at random, at some moment of the session's life."""

import enum
import random
from collections.abc import Collection, Mapping

import attrs
import trio

from greenroom.actors.lifecycle import EndReason, SessionState


class Fault(enum.Enum):
    """What can go wrong. The values appear in the report's table, and `host.py` reads them."""

    NONE = "none: lives until it expires"
    DELETED = "deleted at any time"
    CALLER_LEFT = "caller leaves at any time"
    HOST_KILLED = "host killed"
    BROWSER_KILLED = "browser killed"
    GARBAGE = "host says garbage"
    STOPPED = "host stopped"
    UNANSWERED = "request unanswered"
    LAUNCH_REFUSED = "launch refused"
    UNREACHABLE = "page unreachable"
    NOT_LOGGED_IN = "not logged in"
    CLONE_FAILS = "clone fails"


_LOST = frozenset({EndReason.BROWSER_LOST})
_ANY_MOMENT = (
    SessionState.LAUNCHING,
    SessionState.NAVIGATING,
    SessionState.JUDGING,
    SessionState.LIVE,
    SessionState.ENDING,
)

MOMENTS: Mapping[Fault, tuple[SessionState, ...]] = {
    Fault.HOST_KILLED: _ANY_MOMENT,
    Fault.BROWSER_KILLED: _ANY_MOMENT[1:],
    Fault.GARBAGE: _ANY_MOMENT,
    Fault.STOPPED: _ANY_MOMENT,
    Fault.UNANSWERED: _ANY_MOMENT[:3],
    Fault.LAUNCH_REFUSED: (SessionState.LAUNCHING,),
    Fault.UNREACHABLE: (SessionState.NAVIGATING,),
}
"""When a fault can strike. Faults that are not listed have no moment of their own."""

REASONS: Mapping[Fault, frozenset[EndReason]] = {
    Fault.NONE: frozenset({EndReason.EXPIRED}),
    # These two can strike at any time, so the session may have expired first.
    Fault.DELETED: frozenset({EndReason.DELETED, EndReason.EXPIRED}),
    Fault.CALLER_LEFT: frozenset({EndReason.CALLER_LEFT, EndReason.EXPIRED}),
    Fault.HOST_KILLED: _LOST,
    Fault.BROWSER_KILLED: _LOST,
    Fault.GARBAGE: _LOST,
    Fault.STOPPED: _LOST,
    Fault.UNANSWERED: frozenset({EndReason.CREATION_TIMEOUT}),
    Fault.LAUNCH_REFUSED: frozenset({EndReason.FAILED}),
    Fault.UNREACHABLE: frozenset({EndReason.FAILED}),
    Fault.NOT_LOGGED_IN: frozenset({EndReason.NOT_LOGGED_IN}),
    Fault.CLONE_FAILS: frozenset({EndReason.FAILED}),
}

OF_HOST = frozenset({Fault.HOST_KILLED, Fault.GARBAGE, Fault.STOPPED})
"""Faults that strike all sessions in a host."""


@attrs.define(eq=False, kw_only=True)
class Cycle:
    """One session of a soak: its fault, and how it ended.

    It shares a host with others unless it is `alone`. `host` is set once it has a place in one.
    """

    fault: Fault
    moment: SessionState | None
    delay_s: float
    alone: bool
    session_id: str = ""
    host: str = ""
    begun: trio.Event = attrs.field(factory=trio.Event)
    struck: trio.Event = attrs.field(factory=trio.Event)
    ended: trio.Event = attrs.field(factory=trio.Event)
    reason: EndReason | None = None

    @property
    def explained(self) -> bool:
        """Whether its own fault explains its end reason."""
        # A fault may strike a moment too late, or while the session is ending anyway: it has then expired.
        # Judging is over sooner than a signal from outside can come.
        is_outside = self.fault is Fault.STOPPED and self.moment is SessionState.JUDGING
        late = is_outside or self.moment in {SessionState.LIVE, SessionState.ENDING}
        # A session that is launching when its host is lost is launched once more.
        late |= self.fault in OF_HOST and self.moment is SessionState.LAUNCHING
        # A page that can't be inspected in time is uncertain, which counts as logged out.
        unseen = self.fault in {Fault.UNANSWERED, Fault.STOPPED} and self.moment is SessionState.JUDGING
        # Two silent hosts in a row use up the creation's time.
        too_long = self.fault is Fault.STOPPED and self.moment is SessionState.LAUNCHING
        allowed = REASONS[self.fault]
        allowed |= {EndReason.EXPIRED} if late else set()
        allowed |= {EndReason.NOT_LOGGED_IN} if unseen else set()
        allowed |= {EndReason.CREATION_TIMEOUT} if too_long else set()
        return self.reason in allowed

    def explained_by(self, strikes: Collection[Fault]) -> bool:
        """Return whether faults of other sessions that struck its host explain its end reason."""
        allowed = _LOST if strikes else frozenset()
        allowed |= {EndReason.NOT_LOGGED_IN} if Fault.STOPPED in strikes else set()
        return self.reason in allowed


def draw(source: random.Random, weights: Mapping[Fault, int], delay_s: float, alone: float) -> Cycle:
    """Draw the next cycle. Its delay is up to `delay_s` seconds.

    Of the cycles with a fault that strikes a whole host, the fraction `alone` get a host to themselves.
    """
    (fault,) = source.choices(list(weights), list(weights.values()))
    moments = MOMENTS.get(fault)
    return Cycle(
        fault=fault,
        moment=source.choice(moments) if moments else None,
        delay_s=source.uniform(0, delay_s),
        alone=source.random() < alone and fault in OF_HOST,
    )
