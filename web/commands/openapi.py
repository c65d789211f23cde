"""`greenroom openapi`: the description of the HTTP side, without a daemon."""

import msgspec

from greenroom.web.http.openapi import describe_api


def openapi_text() -> str:
    """Return the description of a daemon with a token, as JSON that people can read, with a line break."""
    return msgspec.json.format(msgspec.json.encode(describe_api(with_token=True)), indent=2).decode() + "\n"
