"""Answers in JSON."""

from typing import Any

import msgspec
from quart import Response


def json_answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer with `body`, which msgspec can encode."""
    return Response(
        msgspec.json.encode(body), status=status, headers=headers, content_type="application/json"
    )
