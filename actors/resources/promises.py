"""What sessions that were let in are still going to take of the machine."""

import contextlib
from collections.abc import Iterator

import attrs

from actors.resources.preflight import Needs


@attrs.define(eq=False)
class Promises:
    """Keeps sessions that are let in at the same time from being shown the same room.

    A session is promised what it needs from its preflight on: disk space and inodes until its clone is made,
    memory and pids until its browser runs. From then on the machine itself shows what it takes, though the
    clone and the page may still grow. While a clone or a browser is being made, a part of it counts twice:
    a promise errs towards refusing. File descriptors are not promised: what a session asks for is room for
    what it opens for moments, which few do at a time.
    """

    _to_clone: dict[str, Needs] = attrs.field(factory=dict, init=False)
    _to_launch: dict[str, Needs] = attrs.field(factory=dict, init=False)

    @property
    def outstanding(self) -> Needs:
        """What is promised and not taken yet, to all sessions together."""
        to_clone, to_launch = self._to_clone.values(), self._to_launch.values()
        return Needs(
            disk_bytes=sum(needs.disk_bytes for needs in to_clone),
            inodes=sum(needs.inodes for needs in to_clone),
            memory_bytes=sum(needs.memory_bytes for needs in to_launch),
            file_descriptors=0,
            pids=sum(needs.pids for needs in to_launch),
        )

    @contextlib.contextmanager
    def promise(self, session: str, needs: Needs) -> Iterator[Needs]:
        """Promise `needs` to `session`, for the length of the block at most; yield what others had before.

        The first to ask is thus the first to be let in. A block that is left, in whatever way, needs nothing.
        """
        before = self.outstanding
        self._to_clone[session] = self._to_launch[session] = needs
        try:
            yield before
        finally:
            self.clone_made(session)
            self.browser_runs(session)

    def clone_made(self, session: str) -> None:
        """Note that a session has taken what it needs on disk. Idempotent."""
        self._to_clone.pop(session, None)

    def browser_runs(self, session: str) -> None:
        """Note that a session has taken its memory and pids. Idempotent."""
        self._to_launch.pop(session, None)
