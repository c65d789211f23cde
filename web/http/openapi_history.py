"""The description of the history's route; see `history_routes`."""

from typing import Any, Final

import msgspec

from greenroom.web.http.history_schemas import HistoryAnswer, HistoryQuery
from greenroom.web.http.openapi_parts import answer, operation

Json = dict[str, Any]

HISTORY_BODIES: Final[tuple[Any, ...]] = (HistoryAnswer,)


def history_paths() -> Json:
    """Return the paths."""
    return {
        "/tiktok/history": {
            "get": operation(
                "list_history",
                "List the sessions that have ended, the last first, with figures on all of the filter.",
                {200: answer("A page of them.", HistoryAnswer)},
                codes=("INVALID_REQUEST", "PROFILE_NOT_FOUND", "HISTORY_NOT_KEPT", "HISTORY_UNAVAILABLE"),
                parameters=_parameters(),
            )
        }
    }


def _parameters() -> list[Json]:
    """Return the query's fields: those that may be left out are not null, but left out."""
    _, components = msgspec.json.schema_components(
        (HistoryQuery,), ref_template="#/components/schemas/{name}"
    )
    found: list[Json] = []
    for name, schema in components[HistoryQuery.__name__]["properties"].items():
        kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
        default = {"default": schema["default"]} if schema.get("default") is not None else {}
        found.append({"name": name, "in": "query", "schema": {**kinds[0], **default}})
    return found
