"""The way for a client's own Playwright: the session's address, and the WebSocket behind it."""

from typing import Final

import attrs
import trio
from quart import Response, Websocket, websocket
from quart_trio import QuartTrio

from greenroom.actors.errors import SessionEnded, SessionNotLive
from greenroom.actors.lifecycle import SessionState
from greenroom.actors.relay.pump import OVER, Farewell, relay
from greenroom.actors.relay.table import PLAYWRIGHT
from greenroom.supervisor.api import Supervisor
from greenroom.web.http.answers import json_answer
from greenroom.web.http.errors import InvalidRequest
from greenroom.web.http.exchanges import Exchange
from greenroom.web.http.own_address import is_own
from greenroom.web.http.schemas import PlaywrightAnswer
from greenroom.web.http.session_addresses import playwright_address
from greenroom.web.http.session_paths import BASE
from greenroom.web.http.who import cancel_after
from greenroom.web.metrics.hearing import Counts
from greenroom.web.settings import DaemonSettings

TOKEN_OVER: Final = Farewell(1008, "the token does not hold any more")


def add_playwright_routes(
    app: QuartTrio, supervisor: Supervisor, settings: DaemonSettings, counts: Counts
) -> None:
    """Add the routes for clients' own Playwright to the app."""

    @app.get(f"{BASE}/playwright")
    async def show_address(session_id: str) -> Response:
        """Say where a client's Playwright connects to."""
        info = supervisor.handle(session_id).info()
        if info.reason is not None:
            raise SessionEnded(info)
        if info.state is not SessionState.LIVE:
            raise SessionNotLive(info)
        return json_answer(
            PlaywrightAnswer(
                message="Connect with firefox.connect()",
                address=playwright_address(session_id),
                driver=PLAYWRIGHT,
                clients=info.clients,
                refused_calls=info.refused_calls,
            )
        )

    @app.websocket(f"{BASE}/playwright")
    async def attach(session_id: str) -> None:
        """Relay between a client's Playwright and the session's driver until either is through."""
        handle = supervisor.handle(session_id)
        own_end = websocket._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        client = _Client(own_end, counts)

        def may_open(url: str) -> bool:
            try:
                return not is_own(url, settings)
            except ValueError:
                return False

        on_held = websocket.args.get("on_held", "refuse")
        if on_held not in {"refuse", "wait"}:
            raise InvalidRequest("Expected `refuse` or `wait` - at `?on_held`")
        farewell = TOKEN_OVER
        async with handle.attach() as attachment:
            await websocket.accept()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_after, Exchange.current().asker.wait_over, nursery.cancel_scope)
                farewell = await relay(client, attachment, may_open=may_open, waits=on_held == "wait")
                nursery.cancel_scope.cancel(reason="the relay is over")
        reason = farewell.reason
        if farewell is OVER and (why := handle.info().reason) is not None:
            reason = f"{reason}: {why.value}"
        await websocket.close(farewell.code, reason)


@attrs.frozen
class _Client:
    """A WebSocket as the relay takes it. It counts what passes."""

    _websocket: Websocket
    _counts: Counts

    async def receive(self) -> bytes:
        received: str | bytes = await self._websocket.receive()
        message = received.encode() if isinstance(received, str) else received
        self._counts.from_clients.inc(len(message))
        return message

    async def send(self, message: bytes) -> None:
        await self._websocket.send(message.decode())
        self._counts.to_clients.inc(len(message))
