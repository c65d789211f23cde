"""The name under which this process owns the processes and directories that it creates."""

import uuid

MARKER = "GREENROOM_CELL"
"""The environment variable that marks all processes of a host, or of a session's browser."""

HOST_PREFIX = "host-"
"""The prefix of browser hosts' ids; sessions' ids don't have it."""

OWNER = uuid.uuid4().hex
"""The first part of every marker of this process, which sets its processes apart from another daemon's."""
