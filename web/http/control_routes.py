"""Who may act in a session, and links for people who have no token."""

import contextlib
import time
from datetime import UTC, datetime

from quart import Response, request
from quart_trio import QuartTrio

from greenroom.actors.errors import ControlHeld, SessionEnded
from greenroom.supervisor.api import Supervisor
from greenroom.web.http.answers import json_answer
from greenroom.web.http.errors import NotAllowed
from greenroom.web.http.exchanges import Exchange
from greenroom.web.http.headers import LEASE_HEADER
from greenroom.web.http.json_bodies import decode
from greenroom.web.http.links import Link, Links
from greenroom.web.http.schemas import (
    ControlAnswer,
    ControlRequest,
    LinkAnswer,
    LinkInfo,
    LinkRequest,
    LinksAnswer,
)
from greenroom.web.http.session_addresses import live_address
from greenroom.web.http.session_paths import BASE


def lease() -> str | None:
    """Return the token of the lease that the request comes with, if any."""
    return request.headers.get(LEASE_HEADER)


def add_control_routes(app: QuartTrio, supervisor: Supervisor, links: Links) -> None:
    """Add the routes for control and links to the app."""
    _add_links(app, supervisor, links)

    @app.get(f"{BASE}/control")
    async def show_control(session_id: str) -> Response:
        """Show who has control of a session."""
        held = supervisor.handle(session_id).info().control
        message = f"{held.by} has control" if held else "Programs have control"
        return json_answer(ControlAnswer(message=message, control=held, lease=None))

    @app.post(f"{BASE}/control")
    async def control(session_id: str) -> Response:
        """Give control of a session to a person, for some time, or back to programs."""
        handle = supervisor.handle(session_id)
        asked = decode(await request.body, ControlRequest)
        who = Exchange.current().asker
        if asked.holder == "programs":
            if lease() is None and not who.may_end_control:
                raise NotAllowed(f"Send the lease that you have in {LEASE_HEADER}")
            await handle.give_back_control(lease())
            return json_answer(ControlAnswer(message="Programs have control", control=None, lease=None))
        name = who.called(asked.name)
        ttl_s = asked.ttl_s
        if who.link is not None:
            ttl_s = min(ttl_s, max(0.0, who.link.expires - time.time()))
        given = await handle.take_control(name, ttl_s, lease())
        if who.link is not None:
            links.note_lease(who.link, given.token)
        return json_answer(
            ControlAnswer(message="You have control", control=given.held, lease=given.token), 200
        )


def _add_links(app: QuartTrio, supervisor: Supervisor, links: Links) -> None:
    @app.post(f"{BASE}/links")
    async def make_link(session_id: str) -> Response:
        """Make a link to one session."""
        info = supervisor.handle(session_id).info()
        if info.reason is not None:
            raise SessionEnded(info)
        asked = decode(await request.body, LinkRequest)
        maker = Exchange.current().asker.token
        link, token = links.make(session_id, asked.mode, asked.ttl_s, asked.name, maker)
        address = f"{live_address(session_id)}#link={token}&mode={asked.mode.value}"
        return json_answer(
            LinkAnswer(
                message="Give this address to one person", link=_info(link), address=address, token=token
            ),
            201,
        )

    @app.get(f"{BASE}/links")
    async def list_links(session_id: str) -> Response:
        """List the links to a session that hold."""
        supervisor.handle(session_id)
        found = tuple(_info(link) for link in links.of(session_id))
        return json_answer(LinksAnswer(message=f"{len(found)} links", links=found))

    @app.delete(f"{BASE}/links/<link_id>")
    async def revoke_link(session_id: str, link_id: str) -> Response:
        """Revoke a link. Whoever watches by it has to leave."""
        handle = supervisor.handle(session_id)
        if (held := links.revoke(session_id, link_id)) is not None:
            with contextlib.suppress(ControlHeld, SessionEnded):  # it was over already
                await handle.give_back_control(held)
        return Response(b"", status=204)


def _info(link: Link) -> LinkInfo:
    return LinkInfo(
        id=link.id, mode=link.mode, name=link.name, expires_at=datetime.fromtimestamp(link.expires, UTC)
    )
