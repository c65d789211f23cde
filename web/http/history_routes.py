"""The sessions that have ended, over HTTP."""

import functools

import attrs
from quart import Response
from quart_trio import QuartTrio

from greenroom.actors.errors import HistoryNotKept, SessionNotFound
from greenroom.supervisor.api import Supervisor
from greenroom.supervisor.history import History
from greenroom.web.http.answers import json_answer
from greenroom.web.http.errors import InvalidRequest
from greenroom.web.http.exchanges import Exchange
from greenroom.web.http.history_schemas import HistoryAnswer, HistoryQuery
from greenroom.web.http.json_bodies import from_query


def add_history_routes(app: QuartTrio, supervisor: Supervisor, history: History | None) -> None:
    """Add the route to the app."""

    @app.get("/tiktok/history")
    async def list_history() -> Response:
        """List the sessions that have ended, with figures on them."""
        asked = from_query(HistoryQuery)
        try:
            after = asked.after
        except ValueError as exc:
            raise InvalidRequest(f"{exc} - at `$.cursor`") from None
        if history is None:
            raise HistoryNotKept
        who = Exchange.current().asker
        wanted = attrs.evolve(asked.filter, profiles=who.profiles)
        page, summary = await history.read(wanted, after=after, limit=asked.limit)
        has_bundles = any(ended.has_bundle for ended in page.sessions)
        bundles = await supervisor.kept_bundles() if has_bundles else frozenset[str]()
        if not who.sees_all:  # which keeps out of the addresses of sessions that are forgotten
            bundles = frozenset(filter(functools.partial(_is_known, supervisor), bundles))
        return json_answer(HistoryAnswer.of(page, summary, bundles, history.problem))


def _is_known(supervisor: Supervisor, session_id: str) -> bool:
    try:
        supervisor.handle(session_id)
    except SessionNotFound:
        return False
    return True
