"""How long tests wait for another process or thread.

The limits only say when to give up: if nothing is wrong, no test waits that long. A busy machine needs more
time, so all limits are multiplied by the environment variable TEST_PATIENCE, 1 by default. It isn't called
GREENROOM_TEST_PATIENCE because the daemons that the tests start would take that for a setting.
"""

import os

_FACTOR = float(os.environ.get("TEST_PATIENCE", "1"))


def patience(seconds: float) -> float:
    """Return how long to wait for something that an idle machine does well within `seconds`."""
    return seconds * _FACTOR
