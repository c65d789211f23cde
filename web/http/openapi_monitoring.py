"""The description of the routes about the daemon's own state; see `monitoring_routes`."""

from typing import Any, Final

from greenroom.web.http.monitoring_schemas import PressureAnswer, Ready
from greenroom.web.http.openapi_errors import CREATING
from greenroom.web.http.openapi_parts import answer, content, operation
from greenroom.web.http.openapi_profiles import PROFILE

Json = dict[str, Any]

MONITORING_BODIES: Final[tuple[Any, ...]] = (PressureAnswer, Ready)


def monitoring_paths() -> Json:
    """Return the paths."""
    return {
        "/metrics": {
            "get": operation(
                "metrics",
                "Show what Prometheus collects.",
                {
                    200: content(
                        "All metrics, as text in Prometheus's format, or in OpenMetrics if that is accepted.",
                        *("text/plain", "application/openmetrics-text"),
                        schema={"type": "string"},
                    )
                },
            )
        },
        "/ready": {
            "get": operation(
                "ready",
                "Say whether a session that is asked for now can be expected to go live.",
                {200: answer("It can.", Ready)},
                codes=(*CREATING, "NOT_READY", "INTERNAL_ERROR"),
                parameters=[PROFILE],
                description="Otherwise the answer has the `code` that the request would get, or NOT_READY.",
            )
        },
        "/pressure": {
            "get": operation(
                "pressure", "Say how full the daemon is.", {200: answer("It is so.", PressureAnswer)}
            )
        },
    }
