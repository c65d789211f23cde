"""What a host tells the recorder about a session's pages. It imports neither Trio nor structlog."""

from typing import Any

import msgspec


class Recorded(msgspec.Struct, kw_only=True):
    """The latest lines of the consoles and the network, and what the selected page shows.

    Cookies' values are left out of all texts, and what fields hold is in none, nor in the pictures. `picture`
    is a JPEG, `screenshot` a PNG; what was not asked for, or could not be had, is None.
    """

    console: list[dict[str, Any]]
    network: list[dict[str, Any]]
    url: str
    picture: bytes | None = None
    screenshot: bytes | None = None
    html: str | None = None
