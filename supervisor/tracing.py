"""Spans of what happens to sessions, for OpenTelemetry, made of the stream of events."""

import time
from collections.abc import Mapping
from typing import Final

import attrs
import trio
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode, Tracer

from greenroom.actors.events import ActionNote, EventKind, SessionEvent
from greenroom.actors.lifecycle import SessionInfo, SessionState
from greenroom.supervisor.events import Subscriber

_PHASES: Final[Mapping[SessionState, str]] = {
    SessionState.CLONING: "clone",
    SessionState.QUEUED: "queue",
    SessionState.LAUNCHING: "launch",
    SessionState.WARM: "warm",
    SessionState.NAVIGATING: "navigate",
    SessionState.JUDGING: "judge",
    SessionState.LIVE: "live",
    SessionState.ENDING: "end",
}
_AFTER_CREATION: Final = {SessionState.LIVE, SessionState.ENDING, SessionState.ENDED}


def tracing_subscriber() -> Subscriber | None:
    """Return who makes spans of events; None if the program has no OpenTelemetry SDK to take them.

    A program sets one up with `opentelemetry.trace.set_tracer_provider`, or `opentelemetry-instrument` does.
    """
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    return SessionTracing(provider.get_tracer("greenroom")).hear


@attrs.define(eq=False, kw_only=True)
class _Traced:
    """The open spans of one session. `origin_ns` is when Trio's clock was at 0, as far as it is concerned."""

    root: Span
    origin_ns: int
    creation: Span | None = None
    was_created: bool = False
    phase: Span | None = None

    @property
    def now_ns(self) -> int:
        """The time now, which goes on evenly even if the machine's clock is set."""
        return self.origin_ns + round(trio.current_time() * 1e9)


@attrs.frozen(eq=False, repr=False)
class SessionTracing:
    """Makes one trace of each session.

    `session` has all of its life; within it, `create` goes from the request to the moment that it is live, or
    is not to be, and each state has a span of its own: within `create` as long as that goes on. What was done
    in its pages is within `live`. No span holds what was typed, where, or any address.
    """

    _tracer: Tracer
    _sessions: dict[str, _Traced] = attrs.field(factory=dict, init=False)

    def hear(self, event: SessionEvent) -> None:
        """Begin and end spans. Subscribe it to the supervisor's events, before the first of them."""
        session = event.session
        traced = self._sessions.get(session.id)
        if traced is None:
            if event.kind is EventKind.STATE and session.state is SessionState.CLONING:
                traced = self._sessions[session.id] = self._begin(session)
            else:
                return  # such as a client that leaves when its session has ended already
        match event.kind:
            case EventKind.STATE:
                self._enter(traced, event)
            case EventKind.ACTION if event.action is not None:
                self._add_action(traced, event.action)
            case kind:
                (traced.phase or traced.root).add_event(kind.value, timestamp=traced.now_ns)

    def _begin(self, session: SessionInfo) -> _Traced:
        origin_ns = time.time_ns() - round(trio.current_time() * 1e9)
        root = self._tracer.start_span(
            "session",
            context=Context(),  # a trace of its own, whoever has opened the supervisor
            start_time=origin_ns + round(trio.current_time() * 1e9),
            attributes={
                "greenroom.session.id": session.id,
                "greenroom.profile": session.profile.name,
                "greenroom.profile.mode": session.profile.mode.value,
                "greenroom.purpose": session.purpose.value,
            },
        )
        return _Traced(root=root, origin_ns=origin_ns)

    def _enter(self, traced: _Traced, event: SessionEvent) -> None:
        session, now_ns = event.session, traced.now_ns
        if traced.phase is not None:
            traced.phase.end(now_ns)
        if traced.creation is not None and session.state in _AFTER_CREATION:
            self._finish(traced.creation, event, now_ns)
            traced.creation = None
        if session.state is SessionState.ENDED:
            self._finish(traced.root, event, now_ns)
            del self._sessions[session.id]
            return
        if session.is_requested and not traced.was_created and session.state not in _AFTER_CREATION:
            traced.creation, traced.was_created = self._start(traced.root, "create", now_ns), True
        parent = traced.creation or traced.root
        traced.phase = self._start(parent, _PHASES[session.state], now_ns)

    def _start(self, parent: Span, name: str, at_ns: int) -> Span:
        return self._tracer.start_span(
            name, context=trace.set_span_in_context(parent, Context()), start_time=at_ns
        )

    def _finish(self, span: Span, event: SessionEvent, at_ns: int) -> None:
        """End the span of a creation or a session, with how it went."""
        session = event.session
        if (verdict := session.verdict) is not None:
            span.set_attribute("greenroom.login.state", verdict.state.value)
            span.set_attribute("greenroom.login.reason", verdict.reason.value)
            span.set_attribute("greenroom.login.method", verdict.method.value)
        if session.reason is not None:
            span.set_attribute("greenroom.end_reason", session.reason.value)
        if event.error is not None:
            _fail(span, type(event.error).__name__)
        elif session.is_requested and not session.was_live and session.reason is not None:
            _fail(span, session.reason.value)  # such as one whose caller has left
        span.end(at_ns)

    def _add_action(self, traced: _Traced, action: ActionNote) -> None:
        now_ns = traced.now_ns
        span = self._start(
            traced.phase or traced.root, f"action {action.kind}", now_ns - action.ms * 1_000_000
        )
        if action.outcome != "ok":
            _fail(span, action.outcome)
        span.end(now_ns)


def _fail(span: Span, why: str) -> None:
    span.set_attribute("error.type", why)
    span.set_status(Status(StatusCode.ERROR))
