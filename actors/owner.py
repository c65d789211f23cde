"""The name under which this process owns what it starts and makes."""

import uuid

OWNER = uuid.uuid4().hex
"""The first part of every marker of this process: another daemon's processes are none of its business."""
