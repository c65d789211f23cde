"""Settings that are a choice among a few words."""

import enum


class OnLoginLost(enum.Enum):
    """What becomes of a live session that loses its login."""

    KEEP = "keep"
    END = "end"
