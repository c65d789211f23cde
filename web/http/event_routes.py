"""What there is, and what happens, as Server-Sent Events: of all sessions, or of one.

The format is that of the HTML standard, "Server-sent events".
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Self

import attrs
import trio
from quart import Response, request
from quart.wrappers.response import ResponseBody
from quart_trio import QuartTrio

from greenroom.actors.lifecycle import SessionInfo
from greenroom.supervisor.api import Supervisor
from greenroom.web.http.answers import json_answer
from greenroom.web.http.event_messages import id_of
from greenroom.web.http.event_reader import EventReader, Item
from greenroom.web.http.exchanges import Exchange
from greenroom.web.http.schemas import OverviewAnswer, Session
from greenroom.web.http.session_paths import BASE
from greenroom.web.http.shares import Shares
from greenroom.web.http.tokens import Tokens

# How long a browser waits before it connects again, in milliseconds.
_RETRY_MS = 1000


def add_event_routes(app: QuartTrio, supervisor: Supervisor, tokens: Tokens, shares: Shares) -> None:
    """Add the streams of events to the app."""

    @app.get("/overview")
    async def overview() -> Response:
        """Show all that there is, and where its events go on."""
        there, machine, who = supervisor.overview(), supervisor.machine, Exchange.current().asker

        def shown(infos: Iterable[SessionInfo]) -> list[Session]:
            return [Session.of(info) for info in infos if who.sees(info.profile.name)]

        sessions = shown(there.sessions)
        return json_answer(
            OverviewAnswer(
                message=f"{len(sessions)} of {there.max_sessions} sessions",
                sessions=sessions,
                warm=shown(there.warm),
                ended=shown(there.ended),
                hosts=tuple(there.hosts) if who.sees_all else (),
                max_sessions=there.max_sessions,
                last_event_id=id_of(supervisor.events, there.last_event),
                checks=who.checks(supervisor.checks),
                engine=f"{machine.engine} {machine.engine_version}",
                sandbox=machine.sandbox,
                has_token=bool(tokens),
            )
        )

    @app.get("/events")
    async def all_events() -> Response:
        """Send what happens from now on, or after the event that the client had last."""
        who = Exchange.current().asker
        return _stream(EventReader(supervisor.events, last_id=_last_id(), sees=who.sees_event), shares)

    @app.get(f"{BASE}/events")
    async def session_events(session_id: str) -> Response:
        """Send what happens to one session, up to its end."""
        info = supervisor.handle(session_id).info()
        reader = EventReader(supervisor.events, info, last_id=_last_id())
        if reader.has_all:
            return Response(b"", status=204)  # tells a browser not to connect again
        return _stream(reader, shares)


def _last_id() -> str | None:
    """Return the id of the last event that the client has; a query parameter serves where headers can't."""
    return request.headers.get("Last-Event-ID") or request.args.get("last_event_id")


def _stream(reader: EventReader, shares: Shares) -> Response:
    if request.method == "HEAD":
        return Response(b"", content_type="text/event-stream")
    who = Exchange.current().asker
    shares.check_streams(who)
    response = Response(_Body(reader, who.wait_over, shares.stream(who)), content_type="text/event-stream")
    response.timeout = None
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


@attrs.define(eq=False)
class _Body(ResponseBody):
    """A body of events, until `over` returns. It is no generator, which would have to be closed."""

    reader: EventReader
    _over: Callable[[], Awaitable[None]]
    _counted: contextlib.AbstractContextManager[None]
    _has_begun: bool = attrs.field(default=False, init=False)

    async def __aenter__(self) -> Self:
        self._counted.__enter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._counted.__exit__(None, None, None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._has_begun:
            self._has_begun = True
            return b"retry: %d\n\n" % _RETRY_MS
        items: list[Item] | None = None
        if not self.reader.is_over:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wait_over, nursery.cancel_scope)
                items = await self.reader.next()
                nursery.cancel_scope.cancel(reason="there are events")
        if items is None:
            raise StopAsyncIteration
        return b"".join(map(_frame, items)) or b": still here\n\n"

    async def _wait_over(self, scope: trio.CancelScope) -> None:
        await self._over()
        scope.cancel(reason="the client may read no more")


def _frame(item: Item) -> bytes:
    id_ = f"id: {item.id}\n" if item.id else ""
    return f"{id_}event: {item.type}\ndata: ".encode() + item.json + b"\n\n"
