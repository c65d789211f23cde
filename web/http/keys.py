"""The key by which a request is known when it is sent again."""

import re

from quart import request

from greenroom.web.http.errors import InvalidRequest
from greenroom.web.http.headers import KEY_HEADER

_KEY = re.compile(r"[!-~]{1,255}")  # visible ASCII


def asked_key() -> str | None:
    """Return the request's key, if any. Raises `InvalidRequest` unless it is 1 to 255 visible characters."""
    keys = request.headers.getlist(KEY_HEADER)
    if len(keys) > 1:
        raise InvalidRequest(f"There is more than one {KEY_HEADER}")
    if keys and not _KEY.fullmatch(keys[0]):
        raise InvalidRequest(f"{KEY_HEADER} must be 1 to 255 visible ASCII characters")
    return keys[0] if keys else None
