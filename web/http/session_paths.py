"""The paths of a session."""

from typing import Final

_PARAMETER: Final = "<session_id>"
BASE: Final = f"/tiktok/session/{_PARAMETER}"
"""The path of any session, as a route."""


def session_path(session_id: str) -> str:
    """Return the path of one session."""
    return BASE.replace(_PARAMETER, session_id)


def bundle_path(session_id: str) -> str:
    """Return where the bundle of a session that has failed is."""
    return f"{session_path(session_id)}/bundle"
