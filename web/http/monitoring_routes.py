"""The daemon's own state for programs: metrics, whether it is ready, how full it is."""

from typing import Final

from quart import Response, request
from quart_trio import QuartTrio

from greenroom.actors.lifecycle import ProfileMode
from greenroom.supervisor.api import Supervisor
from greenroom.web.http.answers import json_answer
from greenroom.web.http.errors import InvalidRequest
from greenroom.web.http.exchanges import Exchange
from greenroom.web.http.headers import MODE_HEADER
from greenroom.web.http.monitoring_schemas import PressureAnswer, Ready
from greenroom.web.http.profile_routes import asked_profile
from greenroom.web.metrics.metrics import Metrics

READY: Final = "/ready"


def add_monitoring_routes(app: QuartTrio, supervisor: Supervisor, metrics: Metrics) -> None:
    """Add the routes to the app."""

    @app.get("/metrics")
    async def show_metrics() -> Response:
        """Show what Prometheus collects."""
        body, content_type = metrics.expose(", ".join(request.headers.getlist("Accept")))
        return Response(body, content_type=content_type)

    @app.get(READY)
    async def ready() -> Response:
        """Say whether a session that is asked for now can be expected to go live."""
        profile = asked_profile()
        if profile.mode is ProfileMode.WRITE:
            raise InvalidRequest(f"{MODE_HEADER} must be read: whether a profile can be written is not known")
        Exchange.current().asker.check_profile(profile.name)
        await supervisor.check_ready(profile.name)
        return json_answer(Ready())

    @app.get("/pressure")
    async def pressure() -> Response:
        """Say how full the daemon is."""
        return json_answer(PressureAnswer.of(supervisor.pressure()))
