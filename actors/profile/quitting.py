"""Whether a browser has saved its profile and quit, or was killed."""

import contextlib
import json
from pathlib import Path

# Firefox writes there how far it has come, from nothing at each start. This is its last step at an orderly
# end (seen in Firefox 140, closed and killed).
_CHECKPOINTS_FILE = "sessionCheckpoints.json"
_LAST_STEP = "profile-before-change"


def has_quit(profile: Path) -> bool:
    """Return whether the last browser on `profile`, which is gone, came to an orderly end. Blocks."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        steps = json.loads((profile / _CHECKPOINTS_FILE).read_bytes())
        return isinstance(steps, dict) and steps.get(_LAST_STEP) is True
    return False
