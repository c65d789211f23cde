"""The description of the routes about the daemon's own state; see `monitoring_routes`."""

from collections.abc import Callable
from typing import Any, Final

from greenroom.web.http.monitoring_schemas import PressureAnswer, Ready

Json = dict[str, Any]

MONITORING_BODIES: Final[tuple[Any, ...]] = (PressureAnswer, Ready)


def monitoring_paths(operation: Callable[..., Json], answer: Callable[..., Json], profile: Json) -> Json:
    """Return the paths, made by the functions that describe the others.

    `profile` describes the header that names a profile.
    """
    metrics: Json = {
        "description": "All metrics, as text in Prometheus's format, or in OpenMetrics if that is accepted.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    return {
        "/metrics": {
            "get": operation("metrics", "Show what Prometheus collects.", {200: metrics}, refusals=())
        },
        "/ready": {
            "get": operation(
                "ready",
                "Say whether a session that is asked for now can be expected to go live. Otherwise the "
                "answer is 503, with the `code` that the request would get, or NOT_READY.",
                {200: answer("It can.", Ready)},
                refusals=(404, 422, 503),
                parameters=[profile],
            )
        },
        "/pressure": {
            "get": operation(
                "pressure",
                "Say how full the daemon is.",
                {200: answer("It is so.", PressureAnswer)},
                refusals=(),
            )
        },
    }
