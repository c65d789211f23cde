"""What is counted as it happens: from the stream of events, and where bytes and refusals pass."""

import functools
from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from greenroom.actors.events import ActionNote, EventKind, SessionEvent
from greenroom.actors.lifecycle import EndReason, ProfileMode, Purpose, SessionInfo, SessionState
from greenroom.web.http.errors import CODES, code_of

# The time at which each series began would double their number. The library has no setting of one registry.
disable_created_metrics()  # type: ignore[no-untyped-call]

SUCCESS: Final = "success"
_PHASE_BUCKETS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 300, 900, 3600)
_CREATION_BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60)
_ACTION_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# What callers are told where no error of its own ended the creation: see `actors.session.answering`.
_WITHOUT_ERROR: Final[Mapping[EndReason, str]] = {
    EndReason.DELETED: CODES["SessionDeleted"],
    EndReason.SHUTDOWN: CODES["SupervisorStopped"],
    EndReason.CALLER_LEFT: "CALLER_LEFT",
}
_TIMED_OUT: Final = CODES["CreationTimedOut"]
# The outcomes that operators may have to act on.
_OUTCOMES: Final = (
    *("INTERNAL_ERROR", "NOT_LOGGED_IN", "OVER_BUDGET", "RESOURCES_EXHAUSTED", "SESSION_TIMEOUT"),
    *("UPSTREAM_UNREACHABLE", "USER_DATA_LOCKED"),
)


class Counts:
    """Counters and histograms of one daemon, in its `registry`. Values of labels are words of the code."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = functools.partial(Counter, namespace="greenroom", registry=registry)
        histogram = functools.partial(Histogram, namespace="greenroom", registry=registry)
        self.creations = counter(
            "creations_total", "Creations of sessions that were begun and are over.", ["outcome"]
        )
        self.creation_s = histogram(
            "creation_duration_seconds",
            "How long the creations took that succeeded, from the request.",
            ["start"],
            buckets=_CREATION_BUCKETS,
        )
        self.warm_requests = counter(
            "warm_requests_total", "Requests that a warm session can serve, and whether one did.", ["result"]
        )
        self.phase_s = histogram(
            "phase_duration_seconds",
            "How long sessions were in each state.",
            ["phase"],
            buckets=_PHASE_BUCKETS,
        )
        self.ends = counter(
            "sessions_ended_total", "Sessions that have ended, warm ones included.", ["reason"]
        )
        self.verdicts = counter(
            "verdicts_total",
            "Verdicts on the login by which creations succeeded or failed.",
            ["state", "reason"],
        )
        self.logins_lost = counter(
            "logins_lost_total", "How often a live session's page showed that nobody is logged in any more."
        )
        self.actions = counter("actions_total", "Actions in sessions' pages.", ["kind", "outcome"])
        self.action_s = histogram(
            "action_duration_seconds", "How long actions took.", ["kind"], buckets=_ACTION_BUCKETS
        )
        self.refusals = counter(
            "http_refusals_total", "HTTP requests that were answered with an error.", ["code"]
        )
        self.relayed = counter(
            "relay_bytes_total", "Messages between clients' own Playwrights and browsers.", ["direction"]
        )
        self.loop_lag_s = histogram(
            "event_loop_lag_seconds", "How late the event loop runs what is due.", buckets=_LAG_BUCKETS
        )
        # To Prometheus, from nothing to 1 is no increase. So what alerts look at is there from the start.
        for outcome in (SUCCESS, *_OUTCOMES):
            self.creations.labels(outcome)
        for reason in EndReason:
            self.ends.labels(reason.value)
        for code in sorted({*CODES.values(), "INTERNAL_ERROR"}):
            self.refusals.labels(code)
        for result in ("hit", "miss"):
            self.warm_requests.labels(result)
        self.from_clients = self.relayed.labels("from_client")
        self.to_clients = self.relayed.labels("to_client")

    def hear(self, event: SessionEvent) -> None:
        """Count what has happened to a session. Subscribe it to the supervisor's events."""
        match event.kind:
            case EventKind.STATE:
                self._note_state(event)
            case EventKind.LOGIN_LOST:
                self.logins_lost.inc()
            case EventKind.ACTION if event.action is not None:
                self._note_action(event.action)
            case _:
                pass

    def _note_state(self, event: SessionEvent) -> None:
        session = event.session
        left = phase_left(session)
        if left is not None:
            self.phase_s.labels(left.value).observe(session.phase_ms[left.value] / 1000)
        if left is SessionState.JUDGING and (verdict := session.verdict) is not None:
            self.verdicts.labels(verdict.state.value.lower(), verdict.reason.value).inc()
        if _may_be_warm(session):
            if left is SessionState.WARM and session.state is SessionState.NAVIGATING:
                self.warm_requests.labels("hit").inc()
            elif left is None:
                self.warm_requests.labels("miss").inc()
        if session.state is SessionState.LIVE:
            self.creations.labels(SUCCESS).inc()
            start = "warm" if session.was_warm else "cold"
            self.creation_s.labels(start).observe((session.creation_ms or 0) / 1000)
        elif session.state is SessionState.ENDED:
            self._note_end(event)

    def _note_end(self, event: SessionEvent) -> None:
        session = event.session
        reason = session.reason or EndReason.FAILED
        self.ends.labels(reason.value).inc()
        if session.is_requested and not session.was_live:
            code = code_of(event.error) if event.error else _WITHOUT_ERROR.get(reason, _TIMED_OUT)
            self.creations.labels(code).inc()

    def _note_action(self, action: ActionNote) -> None:
        self.actions.labels(action.kind, CODES.get(action.outcome, action.outcome)).inc()
        self.action_s.labels(action.kind).observe(action.ms / 1000)


def phase_left(session: SessionInfo) -> SessionState | None:
    """Return the state that a session was in before it entered the one that it is in; None for its first."""
    phases = [phase for phase in session.phase_ms if phase != session.state.value]
    return SessionState(phases[-1]) if phases else None


def _may_be_warm(session: SessionInfo) -> bool:
    is_plain = session.purpose is Purpose.SESSION and session.profile.mode is ProfileMode.READ
    return is_plain and session.is_requested
