"""What a session uses of the machine, what it may use, and whether there is enough for one more."""

from actors.resources.preflight import Needs, shortage
from actors.resources.usage import MAX_FILES, Budget, Usage, disk_usage, measure

__all__ = ["MAX_FILES", "Budget", "Needs", "Usage", "disk_usage", "measure", "shortage"]
