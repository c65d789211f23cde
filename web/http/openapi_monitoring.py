"""The description of the routes about the daemon's own state; see `monitoring_routes`."""

from typing import Any, Final

from greenroom.web.http.monitoring_schemas import PressureAnswer, Ready
from greenroom.web.http.openapi_errors import CREATING
from greenroom.web.http.openapi_parts import JSON, answer, content, nothing, operation
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
        "/mcp": {
            "post": operation(
                "mcp",
                "Use sessions as tools of the Model Context Protocol.",
                {
                    200: content(
                        "The answer to a message.",
                        JSON,
                        schema={"type": "object"},
                        example={"jsonrpc": "2.0", "id": 1, "result": {}},
                    ),
                    202: nothing("A notification was taken."),
                },
                codes=("MCP_NOT_INSTALLED",),
                body={
                    "required": True,
                    "content": {
                        JSON: {
                            "schema": {"type": "object"},
                            "example": {"jsonrpc": "2.0", "id": 1, "method": "ping"},
                        }
                    },
                },
                description="This is the protocol's transport _streamable HTTP_, with one answer to each "
                "message, no stream, and no connection that lasts. Messages that the protocol does not allow "
                "get JSON-RPC errors, with statuses of that transport's own.",
            )
        },
        "/pressure": {
            "get": operation(
                "pressure", "Say how full the daemon is.", {200: answer("It is so.", PressureAnswer)}
            )
        },
    }
