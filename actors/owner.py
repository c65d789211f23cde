"""The name under which this process owns what it starts and makes."""

import uuid

MARKER = "GREENROOM_CELL"
"""The environment variable by which all processes of a host, or of a session's browser, are known."""

HOST_PREFIX = "host-"
"""What the ids of browser hosts begin with; those of sessions don't."""

OWNER = uuid.uuid4().hex
"""The first part of every marker of this process: another daemon's processes are none of its business."""
