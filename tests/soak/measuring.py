"""What the process that runs the supervisor uses."""

import gc
from pathlib import Path

import attrs

from greenroom.actors.resources import give_back_memory


@attrs.frozen(kw_only=True)
class Footprint:
    """Memory in bytes, and file descriptors, at a moment at which no session exists.

    `rss` counts pages shared with other processes as a whole, `pss` in parts that depend on how many others
    share them just now; `anonymous` is what no file backs, the process's own data. `objects` are what Python
    keeps track of: where they grow something is kept, where memory alone grows it is in pieces.
    """

    rss: int
    pss: int
    anonymous: int
    objects: int
    descriptors: int

    @classmethod
    def now(cls) -> "Footprint":
        """Measure it, after Python has thrown away what it does not need, and glibc, as in the daemon."""
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
