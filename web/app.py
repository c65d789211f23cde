"""The HTTP front: requests in, supervisor messages out."""

import hmac
import re
from typing import Any

import msgspec
import structlog
from quart import Response, request
from quart_cors import cors
from quart_schema import QuartSchema, document_request, document_response
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from actors.errors import GreenroomError, InternalFailure
from supervisor import Supervisor
from web.errors import InvalidRequest, OriginNotAllowed, Unauthorized, describe_error, describe_http_error
from web.schemas import (
    AllSessions,
    CreateSessionRequest,
    Failure,
    Health,
    Leaks,
    OneSession,
    Owned,
    Session,
    Success,
)
from web.settings import DaemonSettings

MAX_BODY_BYTES = 64 * 1024
OPEN_PATHS = {"/health"}

# Visible ASCII.
_KEY = re.compile(r"[!-~]{1,255}")

_log = structlog.get_logger("greenroom.web")


def create_app(supervisor: Supervisor, settings: DaemonSettings) -> QuartTrio:
    """Return the app that answers for `supervisor`. It owns nothing: sessions live in the supervisor."""
    app = QuartTrio(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    QuartSchema(
        app,
        info={"title": "Greenroom", "version": "1"},
        conversion_preference="msgspec",
        swagger_ui_path=None,
        redoc_ui_path=None,
        scalar_ui_path=None,
    )
    _add_routes(app, supervisor)
    _add_guards(app, settings)
    _add_error_handlers(app, settings)
    if settings.cors_origins:
        app = cors(
            app,
            allow_origin=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
            expose_headers=["Location", "X-Session-Id", "Retry-After"],
        )
    return app


def _add_routes(app: QuartTrio, supervisor: Supervisor) -> None:
    @app.post("/tiktok/session")
    @document_request(CreateSessionRequest)
    @document_response(Success, 200)
    @document_response(Failure, 409)
    @document_response(Failure, 422)
    @document_response(Failure, 423)
    @document_response(Failure, 502)
    @document_response(Failure, 503)
    @document_response(Failure, 504)
    async def create_session() -> Response:
        """Create a session: a browser on a clone of the master profile, checked to be logged in."""
        _check_body(await request.body)
        info = await supervisor.create_session(_idempotency_key())
        headers = {"Location": f"/tiktok/session/{info.id}", "X-Session-Id": info.id}
        return _json(Success(message="TikTok session established successfully"), 200, headers)

    @app.get("/tiktok/session")
    @document_response(AllSessions)
    async def list_sessions() -> Response:
        """List the sessions that have not ended."""
        sessions = [Session.of(info) for info in await supervisor.list_sessions()]
        warm = (await supervisor.take_census()).warm
        return _json(AllSessions(message=_count(sessions), sessions=sessions, warm=warm))

    @app.get("/tiktok/session/<session_id>")
    @document_response(OneSession)
    @document_response(Failure, 404)
    async def get_session(session_id: str) -> Response:
        """Show one session, also for 15 minutes after its end."""
        info = await supervisor.get_session(session_id)
        viewer = info.verdict.viewer if info.verdict else None
        message = f"Session is {info.state.value}"
        return _json(OneSession(message=message, session=Session.of(info), viewer=viewer))

    @app.delete("/tiktok/session/<session_id>")
    @document_response(Failure, 404)
    async def delete_session(session_id: str) -> Response:
        """End a session; answered once its browser and clone are gone."""
        await supervisor.end_session(session_id)
        response = Response(b"", status=204)
        del response.headers["Content-Type"]
        return response

    @app.get("/leaks")
    @document_response(Leaks)
    async def find_leaks() -> Response:
        """Show what this daemon owns now, and what of it belongs to no session: that should be nothing."""
        holdings = await supervisor.find_leaks()
        leaked = Owned.of(holdings.leaked)
        message = "Nothing is leaked" if leaked.is_empty else "Something belongs to no session"
        return _json(Leaks(message=message, owned=Owned.of(holdings.owned), leaked=leaked))

    @app.get("/health")
    @document_response(Health)
    async def health() -> Response:
        """Tell that the daemon answers."""
        return _json(Health())


def _add_guards(app: QuartTrio, settings: DaemonSettings) -> None:
    @app.before_request
    async def check_origin() -> None:
        """Keep web pages of other origins from starting browsers: a POST without a body needs no CORS."""
        origin = request.headers.get("Origin")
        if origin and request.method in {"POST", "DELETE"} and origin not in settings.cors_origins:
            raise OriginNotAllowed("The page's origin is not among cors_origins")

    @app.before_request
    async def check_token() -> None:
        if settings.token is None or request.path in OPEN_PATHS or request.method == "OPTIONS":
            return
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {settings.token.reveal()}".encode()):
            raise Unauthorized("Send the daemon's token as `Authorization: Bearer TOKEN`")


def _add_error_handlers(app: QuartTrio, settings: DaemonSettings) -> None:
    @app.errorhandler(GreenroomError)
    async def refuse(error: GreenroomError) -> Response:
        status, headers, body = describe_error(
            error, login_detection_timeout_s=settings.login_detection_timeout
        )
        return _json(body, status, headers)

    @app.errorhandler(HTTPException)
    async def refuse_http(error: HTTPException) -> Response:
        status = error.code or 500
        headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
        return _json(describe_http_error(status, error.name), status, headers)

    @app.errorhandler(Exception)
    async def fail(error: Exception) -> Response:
        failure = InternalFailure(error)
        _log.error("request failed", error_id=failure.id, path=request.path, exc_info=error)
        return await refuse(failure)


def _check_body(body: bytes) -> None:
    """Raise `InvalidRequest` unless `body` is empty or an empty JSON object, whatever its content type."""
    if not body.strip():
        return
    try:
        msgspec.json.decode(body, type=CreateSessionRequest)
    except msgspec.MsgspecError as exc:
        raise InvalidRequest(str(exc)) from exc
    except UnicodeDecodeError as exc:  # msgspec lets it through
        raise InvalidRequest("JSON is malformed: not UTF-8") from exc


def _idempotency_key() -> str | None:
    """Return the request's key, if any. Raises `InvalidRequest` unless it is 1 to 255 visible characters."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key must be 1 to 255 visible ASCII characters")
    return key


def _count(sessions: list[Session]) -> str:
    return "1 session" if len(sessions) == 1 else f"{len(sessions)} sessions"


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(body), status=status, headers=headers, content_type="application/json"
    )
