"""A session to watch: by a WebSocket that also takes what is done by hand, and as plain pictures."""

import contextlib
import functools
import math
from typing import Any, Final, Self

import attrs
import msgspec
import trio
from quart import Response, request, websocket
from quart.wrappers.response import ResponseBody
from quart_trio import QuartTrio

from greenroom.actors.errors import SessionEnded, SessionNotLive
from greenroom.actors.lifecycle import SessionState
from greenroom.actors.session.mailbox import SessionHandle
from greenroom.actors.session.view import Watching
from greenroom.supervisor.api import Supervisor
from greenroom.web.http.access import SUBPROTOCOL
from greenroom.web.http.errors import BundleNotFound
from greenroom.web.http.event_reader import EventReader
from greenroom.web.http.exchanges import Exchange
from greenroom.web.http.json_bodies import checked
from greenroom.web.http.links import Links
from greenroom.web.http.schemas import PictureQuery
from greenroom.web.http.session_paths import BASE
from greenroom.web.http.session_routes import refuse_daemon
from greenroom.web.http.watching import Conversation
from greenroom.web.http.who import Who
from greenroom.web.settings import DaemonSettings

_BOUNDARY: Final = "greenroom-picture"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}


def add_watch_routes(app: QuartTrio, supervisor: Supervisor, settings: DaemonSettings, links: Links) -> None:
    """Add the ways to watch a session to the app."""

    @app.websocket(f"{BASE}/watch")
    async def watch(session_id: str) -> None:
        """Send events and pictures, and do what comes by hand, until either side is through."""
        handle = supervisor.handle(session_id)
        who = Exchange.current().who
        client: Any = websocket._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        async with handle.watch(who.name, who.mode) as watching:
            offered = websocket.requested_subprotocols
            await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
            conversation = Conversation(
                client=client,
                handle=handle,
                watching=watching,
                reader=EventReader(supervisor.events, handle.info()),
                who=who,
                wait_over=functools.partial(links.wait_over, who.link) if who.link else trio.sleep_forever,
                check_url=functools.partial(refuse_daemon, settings=settings),
            )
            farewell = await conversation.run()
        await websocket.close(farewell.code, farewell.reason)

    @app.get(f"{BASE}/live.jpg")
    async def picture(session_id: str) -> Response:
        """Send one picture of what the session shows now."""
        handle, asked = supervisor.handle(session_id), _query()
        async with handle.watch(Exchange.current().who.name, is_noted=False) as watching:
            shown = await watching.view.next(0, fps=asked.fps, quality=asked.quality)
        return Response(shown.frame.jpeg, content_type="image/jpeg", headers=_HEADERS)

    @app.get(f"{BASE}/bundle")
    async def bundle(session_id: str) -> Response:
        """Send what is kept of a session that has failed."""
        content = await supervisor.read_bundle(session_id)
        if content is None:
            raise BundleNotFound("Nothing is kept of this session; bundles are kept for a day")
        response = Response(content, content_type="application/zip", headers=_HEADERS)
        response.headers.set("Content-Disposition", "attachment", filename="bundle.zip")
        return response

    @app.get(f"{BASE}/live.mjpeg")
    async def pictures(session_id: str) -> Response:
        """Send pictures for an `<img>`, until the session ends."""
        handle, asked, who = supervisor.handle(session_id), _query(), Exchange.current().who
        info = handle.info()
        if info.reason is not None:
            raise SessionEnded(info)
        if info.state is not SessionState.LIVE:
            raise SessionNotLive(info)
        response = Response(
            _Pictures(handle, asked, who, links),
            content_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}",
            headers=_HEADERS,
        )
        response.timeout = None
        return response


def _query() -> PictureQuery:
    return checked(lambda: msgspec.convert(request.args.to_dict(), PictureQuery, strict=False))


@attrs.define(eq=False)
class _Pictures(ResponseBody):
    """A body of pictures that never ends by itself; who reads it is shown as a watcher."""

    handle: SessionHandle
    asked: PictureQuery
    who: Who
    links: Links
    _watching: Watching = attrs.field(init=False)
    _seq: int = attrs.field(default=0, init=False)
    _due: float = attrs.field(default=-math.inf, init=False)
    _stack: contextlib.AsyncExitStack = attrs.field(factory=contextlib.AsyncExitStack, init=False)

    async def __aenter__(self) -> Self:
        self._watching = await self._stack.enter_async_context(self.handle.watch(self.who.name))
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        link, asked = self.who.link, self.asked
        await trio.sleep_until(self._due)
        if link is not None and link not in self.links.of(link.session_id):
            raise StopAsyncIteration
        try:
            shown = await self._watching.view.next(self._seq, fps=asked.fps, quality=asked.quality)
        except SessionEnded:
            raise StopAsyncIteration from None
        self._seq, self._due = shown.seq, trio.current_time() + 1 / asked.fps
        jpeg = shown.frame.jpeg
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        return head.encode() + jpeg + b"\r\n"
