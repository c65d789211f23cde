"""The HTTP front: requests in, supervisor messages out."""

import functools
import logging
from http import HTTPStatus

import structlog
from quart import Response, request
from quart.wrappers.base import BaseRequestWebsocket
from quart_cors import cors
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import MapAdapter, WebsocketMismatch

from greenroom.actors.errors import GreenroomError, InternalFailure
from greenroom.actors.lifecycle import SessionState
from greenroom.supervisor.api import Supervisor
from greenroom.supervisor.history import History
from greenroom.web.http.answers import json_answer
from greenroom.web.http.control_routes import add_control_routes
from greenroom.web.http.dashboard_routes import add_dashboard_routes
from greenroom.web.http.errors import describe_error, describe_http_error
from greenroom.web.http.event_routes import add_event_routes
from greenroom.web.http.exchanges import Exchange, ExchangeConnection, ExchangeWebsocket, asked, path_of
from greenroom.web.http.guards import add_guards
from greenroom.web.http.headers import KEY_HEADER, LEASE_HEADER, MODE_HEADER, PROFILE_HEADER
from greenroom.web.http.history_routes import add_history_routes
from greenroom.web.http.json_bodies import decode
from greenroom.web.http.keys import asked_key
from greenroom.web.http.links import Links
from greenroom.web.http.mcp_route import add_mcp_route
from greenroom.web.http.monitoring_routes import READY, add_monitoring_routes
from greenroom.web.http.openapi import describe_api
from greenroom.web.http.playwright_route import add_playwright_routes
from greenroom.web.http.profile_routes import add_profile_routes, asked_profile
from greenroom.web.http.schemas import (
    AllSessions,
    Health,
    Leaks,
    OneSession,
    Owned,
    Session,
    TikTokSessionErrorResponse,
    TikTokSessionRequest,
    TikTokSessionResponse,
    WhoAmI,
)
from greenroom.web.http.session_addresses import playwright_address
from greenroom.web.http.session_paths import BASE, session_path
from greenroom.web.http.session_routes import add_session_routes
from greenroom.web.http.shares import Shares
from greenroom.web.http.tokens import Tokens
from greenroom.web.http.watch_routes import add_watch_routes
from greenroom.web.metrics.hearing import Counts
from greenroom.web.metrics.metrics import Metrics
from greenroom.web.settings import DaemonSettings

_LOGGED_CHARACTERS = 200  # of a text from the client

_log = structlog.get_logger("greenroom.web")


class _App(QuartTrio):
    """Finds its routes for any host. Werkzeug fails on some hosts that clients may send."""

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Return the adapter that matches `request` to a route."""
        if request is None:
            return super().create_url_adapter(request)
        return self.url_map.bind(
            "localhost", request.root_path, None, request.scheme, request.method, request.path
        )


def create_app(
    supervisor: Supervisor,
    settings: DaemonSettings,
    tokens: Tokens,
    metrics: Metrics,
    history: History | None = None,
) -> QuartTrio:
    """Return the app that answers for `supervisor`, and from its `history` if it has one.

    It owns nothing: sessions live in the supervisor. It lets in who has one of `tokens`, as they are at the
    moment of a request.
    """
    app = _App(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = None  # each connection has its limits: see `Limits`
    app.url_map.merge_slashes = False  # a redirect would be to wherever the request says that it came
    app.asgi_http_class = ExchangeConnection
    app.asgi_websocket_class = ExchangeWebsocket
    links, shares = Links(), Shares()
    _add_routes(app, supervisor, tokens)
    add_session_routes(app, supervisor, settings, shares)
    add_profile_routes(app, supervisor, settings)
    add_history_routes(app, supervisor, history)
    add_playwright_routes(app, supervisor, settings, metrics.counts)
    add_monitoring_routes(app, supervisor, metrics)
    add_event_routes(app, supervisor, tokens, shares)
    add_control_routes(app, supervisor, links)
    add_watch_routes(app, supervisor, settings)
    add_mcp_route(app, settings)
    add_dashboard_routes(app, tokens)
    add_guards(app, supervisor, settings, tokens, links)
    _add_error_handlers(app, settings, metrics.counts)
    if settings.cors_origins:
        app = cors(
            app,
            allow_origin=list(settings.cors_origins),
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=[
                *("Authorization", "Content-Type", KEY_HEADER, "Last-Event-ID"),
                *(LEASE_HEADER, PROFILE_HEADER, MODE_HEADER),
            ],
            expose_headers=["Location", "X-Session-Id", "Retry-After", "X-Request-Id"],
        )
    return app


def _add_routes(app: QuartTrio, supervisor: Supervisor, tokens: Tokens) -> None:
    @app.post("/tiktok/session")
    async def create_session() -> Response:
        """Create a session: a browser on a clone of the master profile, checked to be logged in."""
        _check_body(await request.body)
        key, use, who = asked_key(), asked_profile(), Exchange.current().asker
        info = await supervisor.create_session(who.own(key), profile=use.name, mode=use.mode, maker=who.maker)
        if key is None:  # with a key, a client that missed the answer may ask again
            Exchange.current().undo = functools.partial(supervisor.end_session, info.id)
        headers = {"Location": session_path(info.id), "X-Session-Id": info.id}
        return json_answer(
            TikTokSessionResponse(message="TikTok session established successfully"), 200, headers
        )

    @app.get("/tiktok/session")
    async def list_sessions() -> Response:
        """List the sessions that have not ended."""
        who, there = Exchange.current().asker, supervisor.overview()
        sessions = [
            Session.of(info) for info in await supervisor.list_sessions() if who.sees(info.profile.name)
        ]
        warm = sum(info.state is SessionState.WARM and who.sees(info.profile.name) for info in there.warm)
        return json_answer(
            AllSessions(
                message=_count(sessions), sessions=sessions, warm=warm, checks=who.checks(supervisor.checks)
            )
        )

    @app.get(BASE)
    async def get_session(session_id: str) -> Response:
        """Show one session, also for 15 minutes after its end."""
        info = await supervisor.get_session(session_id)
        message = f"Session is {info.state.value}"
        return json_answer(OneSession.of(info, message=message, playwright=playwright_address(session_id)))

    @app.delete(BASE)
    async def delete_session(session_id: str) -> Response:
        """End a session; answered once its browser and clone are gone."""
        await supervisor.end_session(session_id)
        response = Response(b"", status=204)
        del response.headers["Content-Type"]
        return response

    _add_daemon_routes(app, supervisor, tokens)


def _add_daemon_routes(app: QuartTrio, supervisor: Supervisor, tokens: Tokens) -> None:
    @app.get("/leaks")
    async def find_leaks() -> Response:
        """Show what this daemon owns now, and which part belongs to no session. That should be nothing."""
        holdings = await supervisor.find_leaks()
        leaked = Owned.of(holdings.leaked)
        message = "Nothing is leaked" if leaked.is_empty else "Something belongs to no session"
        return json_answer(Leaks(message=message, owned=Owned.of(holdings.owned), leaked=leaked))

    @app.get("/whoami")
    async def whoami() -> Response:
        """Show what the token of this request allows."""
        who = Exchange.current().asker
        return json_answer(
            WhoAmI(message=f"You are {who.name}", name=who.name, scope=who.scope.word, profiles=who.profiles)
        )

    @app.get("/health")
    async def health() -> Response:
        """Show that the daemon answers. To strangers, if it has tokens, not why something is wrong."""
        checks = supervisor.checks
        if tokens:
            checks = {subject: check.without_text() for subject, check in checks.items()}
        return json_answer(Health(checks=checks))

    description = describe_api(with_token=bool(tokens))

    @app.get("/openapi.json")
    async def openapi() -> Response:
        """Describe all of this for programs."""
        return json_answer(description)


def _add_error_handlers(app: QuartTrio, settings: DaemonSettings, counts: Counts) -> None:
    @app.errorhandler(GreenroomError)
    async def refuse(error: GreenroomError) -> Response:
        status, headers, body = describe_error(
            error, login_detection_timeout_s=settings.login_detection_timeout
        )
        return _refusal(status, headers, body, counts, is_logged_whole=not error.quotes_client)

    @app.errorhandler(HTTPException)
    async def refuse_http(error: HTTPException) -> Response:
        status = error.code or 500
        headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
        status, body = describe_http_error(status, _reason(error, status))
        return _refusal(status, headers, body, counts)

    @app.errorhandler(Exception)
    async def fail(error: Exception) -> Response:
        failure = InternalFailure(error)
        exchange = Exchange.current()
        _log.error(
            "request failed",
            request_id=exchange.id,
            error_id=failure.id,
            path=path_of(asked().scope),
            exc_info=error,
        )
        status, headers, body = describe_error(
            failure, login_detection_timeout_s=settings.login_detection_timeout
        )
        body.error_details.request_id = exchange.id
        counts.refusals.labels(body.error_details.code).inc()
        return json_answer(body, status, headers)


def _reason(error: HTTPException, status: int) -> str:
    """Return why HTTP does not allow a request: what the code says, or Python's words for the status."""
    match error:
        case WebsocketMismatch():
            return "There is no WebSocket at this path"
        case NotFound():
            return "There is nothing at this path: /docs shows what there is"
        case MethodNotAllowed():
            return f"This path takes {', '.join(sorted(error.valid_methods or ()))}"
    if error.description and error.description != type(error).description:
        return error.description
    return HTTPStatus(status).description or HTTPStatus(status).phrase


def _check_body(body: bytes) -> None:
    """Raise `InvalidRequest` unless `body` is empty or an empty JSON object, whatever its content type."""
    if body.strip():
        decode(body, TikTokSessionRequest)


def _count(sessions: list[Session]) -> str:
    return "1 session" if len(sessions) == 1 else f"{len(sessions)} sessions"


def _refusal(
    status: int,
    headers: dict[str, str],
    body: TikTokSessionErrorResponse,
    counts: Counts,
    *,
    is_logged_whole: bool = True,
) -> Response:
    """Return the refusal, with the request's id; count it, and log the one line about it."""
    details = body.error_details
    if (asked().path, status) != (READY, HTTPStatus.SERVICE_UNAVAILABLE):  # that is an answer
        counts.refusals.labels(details.code).inc()
    exchange = Exchange.current()
    details.request_id = exchange.id
    more = {
        "who": exchange.who and exchange.who.name,
        "session_id": details.session_id,
        "phase": details.phase,
        "details": details.details[:_LOGGED_CHARACTERS] if is_logged_whole else None,
    }
    _log.log(
        logging.WARNING if status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO,
        "request refused",
        request_id=details.request_id,
        status=status,
        code=details.code,
        method=asked().method[:_LOGGED_CHARACTERS],
        path=path_of(asked().scope),
        **{name: value for name, value in more.items() if value},
    )
    return json_answer(body, status, headers)
