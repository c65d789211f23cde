"""Memory and descriptors of the process that runs the supervisor."""

import gc
from pathlib import Path

import attrs

from greenroom.actors.resources import give_back_memory


@attrs.frozen(kw_only=True)
class Footprint:
    """Memory in bytes, and file descriptors, at a moment when no session exists.

    `rss` counts shared pages in full; `pss` divides each by the number of processes that share it just now.
    `anonymous` is memory that no file backs, the process's own data. `objects` counts the objects that
    Python's garbage collector tracks: if it grows, something is kept; if only memory grows, the heap is
    fragmented.
    """

    rss: int
    pss: int
    anonymous: int
    objects: int
    descriptors: int

    @classmethod
    def now(cls) -> "Footprint":
        """Measure it. First collect garbage and return free memory to the system, as the daemon does."""
        gc.collect()
        give_back_memory()
        sizes = {}
        for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
            name, value, *_ = line.split()
            sizes[name] = int(value) * 1024
        descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1
        return cls(
            rss=sizes["Rss:"],
            pss=sizes["Pss:"],
            anonymous=sizes["Anonymous:"],
            objects=len(gc.get_objects()),
            descriptors=descriptors,
        )
