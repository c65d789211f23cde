"""A session to watch: by a WebSocket that also takes what is done by hand, and as plain pictures."""

import contextlib
import functools
import math
from typing import Any, Final, Self

import attrs
import trio
from quart import Response, request, websocket
from quart.wrappers.response import ResponseBody
from quart_trio import QuartTrio

from greenroom.actors.errors import SessionEnded
from greenroom.actors.session.view import Watching
from greenroom.supervisor.api import Supervisor
from greenroom.web.http.access import SUBPROTOCOL
from greenroom.web.http.errors import BundleNotFound, UpgradeRequired
from greenroom.web.http.event_reader import EventReader
from greenroom.web.http.exchanges import Exchange
from greenroom.web.http.headers import PICTURE_BOUNDARY
from greenroom.web.http.json_bodies import from_query
from greenroom.web.http.schemas import PictureQuery
from greenroom.web.http.session_paths import BASE
from greenroom.web.http.session_routes import refuse_daemon
from greenroom.web.http.watching import Conversation
from greenroom.web.http.who import Who, cancel_after
from greenroom.web.settings import DaemonSettings

# A browser shows a picture once it has seen the head of the next, so that is sent along with the picture. No
# length is in it, since that is not known yet.
_HEAD: Final = f"--{PICTURE_BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}


def add_watch_routes(app: QuartTrio, supervisor: Supervisor, settings: DaemonSettings) -> None:
    """Add the ways to watch a session to the app."""

    @app.websocket(f"{BASE}/watch")
    async def watch(session_id: str) -> None:
        """Send events and pictures, and do what comes by hand, until either side is through."""
        handle = supervisor.handle(session_id)
        who = Exchange.current().asker
        client: Any = websocket._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        async with handle.watch(who.name, who.mode, by=who.key) as watching:
            offered = websocket.requested_subprotocols
            await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
            conversation = Conversation(
                client=client,
                handle=handle,
                watching=watching,
                reader=EventReader(supervisor.events, handle.info()),
                who=who,
                check_url=functools.partial(refuse_daemon, settings=settings),
            )
            farewell = await conversation.run()
        await websocket.close(farewell.code, farewell.reason)

    @app.get(f"{BASE}/watch")
    async def watch_without_upgrade(session_id: str) -> Response:
        """Refuse plain HTTP."""
        supervisor.handle(session_id)
        raise UpgradeRequired("Connect with a WebSocket; live.jpg and live.mjpeg are plain HTTP")

    @app.get(f"{BASE}/live.jpg")
    async def picture(session_id: str) -> Response:
        """Send one picture of what the session shows now."""
        handle, who = supervisor.handle(session_id), Exchange.current().asker
        asked = from_query(PictureQuery)
        async with handle.watch(who.name, by=who.key, is_noted=False) as watching:
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
        handle, who = supervisor.handle(session_id), Exchange.current().asker
        asked = from_query(PictureQuery)
        if request.method == "HEAD":
            return Response(b"", content_type="multipart/x-mixed-replace", headers=_HEADERS)
        async with contextlib.AsyncExitStack() as stack:
            watching = await stack.enter_async_context(handle.watch(who.name, who.mode, by=who.key))
            pictures = _Pictures(watching, asked, who, stack.pop_all())
        response = Response(
            pictures,
            content_type=f"multipart/x-mixed-replace; boundary={PICTURE_BOUNDARY}",
            headers=_HEADERS,
        )
        response.timeout = None
        return response


@attrs.define(eq=False)
class _Pictures(ResponseBody):
    """A body of pictures that never ends by itself; who reads it is shown as a watcher."""

    watching: Watching
    asked: PictureQuery
    who: Who
    _stack: contextlib.AsyncExitStack
    _seq: int = attrs.field(default=0, init=False)
    _due: float = attrs.field(default=-math.inf, init=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        part = b""
        async with trio.open_nursery() as nursery:
            for over in (self.who.wait_over, self.watching.view.wait_over):
                nursery.start_soon(cancel_after, over, nursery.cancel_scope)
            await trio.sleep_until(self._due)
            with contextlib.suppress(SessionEnded):
                part = await self._next_part()
            nursery.cancel_scope.cancel(reason="the next picture is there")
        if not part:
            raise StopAsyncIteration
        return part

    async def _next_part(self) -> bytes:
        shown = await self.watching.view.next(self._seq, fps=self.asked.fps, quality=self.asked.quality)
        is_first, self._seq = self._seq == 0, shown.seq
        self._due = trio.current_time() + 1 / self.asked.fps
        return _HEAD * is_first + shown.frame.jpeg + b"\r\n" + _HEAD
