"""How long tests wait for what another process or thread does.

What is waited for comes at once where nothing is wrong, so a limit only says when to give up. A busy machine
needs more time: all these limits are multiplied by the variable TEST_PATIENCE, which is 1 unless it is set.
It isn't called GREENROOM_TEST_PATIENCE because daemons that the tests start would take that for a setting.
"""

import os

_FACTOR = float(os.environ.get("TEST_PATIENCE", "1"))


def patience(seconds: float) -> float:
    """Return how long to wait at most for what an idle machine does well within `seconds`."""
    return seconds * _FACTOR
