"""What a session uses of the machine, what it may use, and whether the machine has room for another."""

from greenroom.actors.resources.heap import collect_rarely, give_back_memory, keep_one_arena
from greenroom.actors.resources.preflight import Needs, shortage
from greenroom.actors.resources.promises import Promises
from greenroom.actors.resources.usage import MAX_FILES, Budget, Usage, disk_usage, measure

__all__ = [
    "MAX_FILES",
    "Budget",
    "Needs",
    "Promises",
    "Usage",
    "collect_rarely",
    "disk_usage",
    "give_back_memory",
    "keep_one_arena",
    "measure",
    "shortage",
]
