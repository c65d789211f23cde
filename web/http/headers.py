"""What clients and the daemon agree on beside bodies: the names of headers, and what divides pictures."""

from typing import Final

KEY_HEADER: Final = "Idempotency-Key"
LEASE_HEADER: Final = "X-Control-Lease"
MODE_HEADER: Final = "X-Profile-Mode"
PROFILE_HEADER: Final = "X-Profile"
REQUEST_ID_HEADER: Final = "X-Request-Id"

PICTURE_BOUNDARY: Final = "greenroom-picture"
"""What divides the pictures of `.../live.mjpeg`."""
