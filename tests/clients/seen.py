"""What a user's program sees of a session, whatever its language and version, and what it is refused."""

from typing import Any, Final

SEEN: Final[dict[str, Any]] = {
    "said": "Hovered",
    "dialog": "Name: Zoe",
    "download": "This is notes.txt.\n",
    "tab": "Frame clicked",
    "pages": 2,
    "trace": "PK",
    "route": "routed",
    "picture": "PNG",
    "logged in": True,
    "chosen": [["small.txt", 5], ["large.bin", 60 << 20]],
    "upload": "file: small.txt (5 bytes)",
    "two at once": True,
    "back again": "Posted · Practice",
}
REFUSED: Final = ("Only http", "fetch is not available", "last page", "newContext is not available")
