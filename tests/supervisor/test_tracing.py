"""Spans of sessions, as OpenTelemetry's own SDK takes them, in virtual time."""

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from trio.testing import MockClock

from greenroom import CreationTimedOut, NotLoggedIn, Supervisor, SupervisorConfig, open_supervisor
from greenroom.actors.actions.actions import Navigate, Type
from greenroom.actors.commands import Act
from greenroom.actors.errors import ActionTimedOut
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.supervisor.tracing import tracing_subscriber


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Set an SDK up for the length of the test; a process can do that itself only once."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    yield exporter
    provider.shutdown()


@asynccontextmanager
async def supervised(machine: FakeMachine, **settings: Any) -> AsyncIterator[Supervisor]:
    config = SupervisorConfig(**{"warm_sessions": 0, **settings})
    async with open_supervisor(config, machine=machine) as supervisor:
        yield supervisor


def tree(spans: InMemorySpanExporter) -> dict[str, tuple[str | None, float, float]]:
    """Return of each span of the first trace its parent, and from when to when it went, in seconds."""
    first_trace = spans.get_finished_spans()[0].context.trace_id
    finished = [span for span in spans.get_finished_spans() if span.context.trace_id == first_trace]
    names = {span.context.span_id: span.name for span in finished}
    first = min(span.start_time or 0 for span in finished)
    return {
        span.name: (
            names.get(span.parent.span_id) if span.parent else None,
            round(((span.start_time or 0) - first) / 1e9, 3),
            round(((span.end_time or 0) - first) / 1e9, 3),
        )
        for span in finished
    }


def find(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    [span] = [span for span in spans.get_finished_spans() if span.name == name]
    return span


async def test_life_of_a_session_is_one_trace(autojump_clock: MockClock, spans: InMemorySpanExporter) -> None:
    """The creation has a span for each of its steps; what is done in the page is within its live time."""
    machine = FakeMachine(clone_s=1, launch_s=2, navigate_s=4, inspect_s=3, action_s=0.5)
    async with supervised(machine) as supervisor:
        await trio.sleep(100)
        info = await supervisor.create_session()
        await trio.sleep(5)
        await supervisor.handle(info.id).run(Act((Navigate(url="https://example.org/?token=hunter2"),)))
        await trio.sleep(4.5)
        await supervisor.end_session(info.id)
    assert tree(spans) == {
        "session": (None, 0, 20),
        "create": ("session", 0, 10),
        "clone": ("create", 0, 1),
        "launch": ("create", 1, 3),
        "navigate": ("create", 3, 7),
        "judge": ("create", 7, 10),
        "live": ("session", 10, 20),
        "action navigate": ("live", 15, 15.5),
        "end": ("session", 20, 20),
    }
    root = find(spans, "session")
    assert root.attributes == {
        "greenroom.session.id": info.id,
        "greenroom.profile": "default",
        "greenroom.profile.mode": "read",
        "greenroom.purpose": "session",
        "greenroom.login.state": "LOGGED_IN",
        "greenroom.login.reason": "viewer_object",
        "greenroom.login.method": "html_content_analysis",
        "greenroom.end_reason": "deleted",
    }
    assert {span.context.trace_id for span in spans.get_finished_spans()} == {root.context.trace_id}
    assert "hunter2" not in "".join(span.to_json() for span in spans.get_finished_spans())


async def test_warm_session_is_created_when_somebody_asks(
    autojump_clock: MockClock, spans: InMemorySpanExporter
) -> None:
    """What was done ahead is of the session, not of its creation."""
    machine = FakeMachine(clone_s=1, launch_s=2, navigate_s=4)
    async with supervised(machine, warm_sessions=1, max_sessions=1) as supervisor:
        await trio.sleep(10)
        info = await supervisor.create_session()
        await supervisor.end_session(info.id)
        await supervisor.drain(0)
    assert tree(spans) == {
        "session": (None, 0, 14),
        "clone": ("session", 0, 1),
        "launch": ("session", 1, 7),  # with the rehearsal
        "warm": ("session", 7, 10),
        "create": ("session", 10, 14),
        "navigate": ("create", 10, 14),
        "judge": ("create", 14, 14),
        "live": ("session", 14, 14),
        "end": ("session", 14, 14),
    }


async def test_creation_that_fails_says_how(autojump_clock: MockClock, spans: InMemorySpanExporter) -> None:
    """With the verdict. The session goes on until all of it is gone."""
    machine = FakeMachine(page=LoginState.LOGGED_OUT, navigate_s=1, remove_s=2)
    async with supervised(machine) as supervisor:
        with pytest.raises(NotLoggedIn):
            await supervisor.create_session()
    for name, end in (("create", 1), ("session", 3)):
        span = find(spans, name)
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes is not None
        assert span.attributes["error.type"] == "NotLoggedIn"
        assert span.attributes["greenroom.login.state"] == "LOGGED_OUT"
        assert span.attributes["greenroom.end_reason"] == "not_logged_in"
        assert tree(spans)[name][2] == end
    assert "live" not in tree(spans)


async def test_creation_that_takes_too_long_is_an_error(
    autojump_clock: MockClock, spans: InMemorySpanExporter
) -> None:
    """Though nothing has failed but the time. The step that it got to shows where it went."""
    async with supervised(FakeMachine(launch_s=math.inf), session_creation_timeout=30) as supervisor:
        with pytest.raises(CreationTimedOut):
            await supervisor.create_session()
    create = find(spans, "create")
    assert create.status.status_code is StatusCode.ERROR
    assert create.attributes is not None
    assert create.attributes["error.type"] == "creation_timeout"
    assert tree(spans)["launch"] == ("create", 0, 30)


async def test_what_happens_in_a_live_session_is_within_its_span(
    autojump_clock: MockClock, spans: InMemorySpanExporter
) -> None:
    """Actions that fail say how, without what was typed and where; the rest is noted as events."""
    machine = FakeMachine(action_error=ActionTimedOut("no"))
    async with supervised(machine) as supervisor:
        info = await supervisor.create_session()
        handle = supervisor.handle(info.id)
        with pytest.raises(ActionTimedOut):
            await handle.run(Act((Type(target="#password", text="hunter2"),)))
        await handle.extend(10)
        machine.page = LoginState.LOGGED_OUT
        machine.browsers[info.id].note_navigation()
        await trio.sleep(1)
        async with handle.attach():
            await supervisor.end_session(info.id)
    action = find(spans, "action type")
    assert action.attributes == {"error.type": "ActionTimedOut"}
    assert action.status.status_code is StatusCode.ERROR
    assert [event.name for event in find(spans, "live").events] == ["extended", "login_lost", "attached"]
    shown = "".join(span.to_json() for span in spans.get_finished_spans())
    assert [secret for secret in ("hunter2", "#password") if secret in shown] == []


async def test_every_span_ends_however_the_supervisor_does(
    autojump_clock: MockClock, spans: InMemorySpanExporter
) -> None:
    """Sessions have traces of their own, though somebody traces what opens the supervisor."""
    tracer = trace.get_tracer_provider().get_tracer("mine")
    with tracer.start_as_current_span("mine"), trio.move_on_after(10):
        async with supervised(FakeMachine(launch_s=6), warm_sessions=1, max_launching=1) as supervisor:
            await supervisor.create_session()
            await trio.sleep_forever()
    finished = spans.get_finished_spans()
    roots = [span for span in finished if span.parent is None]
    assert sorted(span.name for span in roots) == ["mine", "session", "session"]
    assert len({span.context.trace_id for span in roots}) == 3
    assert {span.name for span in finished} >= {"create", "live", "launch", "end"}
    assert [span.name for span in finished if span.status.status_code is StatusCode.ERROR] == []


async def test_without_an_sdk_nobody_listens(autojump_clock: MockClock) -> None:
    """So that spans cost nothing where nobody takes them."""
    assert tracing_subscriber() is None
