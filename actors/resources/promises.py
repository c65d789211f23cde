"""What admitted sessions have not used yet but will."""

import contextlib
from collections.abc import Iterator

import attrs

from greenroom.actors.resources.preflight import Needs


@attrs.define(eq=False)
class Promises:
    """Keeps sessions that start at the same time from counting on the same free resources.

    From its preflight on, a session is promised what it needs: disk space and inodes until its clone is made,
    memory and pids until its browser runs. After that the machine's own figures show what the session takes,
    though its clone and its page may still grow. While a clone or a browser is being made, part of it counts
    twice; a promise errs towards refusing. File descriptors are not promised: a session needs most of them
    only for moments, and few sessions do at the same time.
    """

    _to_clone: dict[str, Needs] = attrs.field(factory=dict, init=False)
    _to_launch: dict[str, Needs] = attrs.field(factory=dict, init=False)

    @property
    def outstanding(self) -> Needs:
        """What is promised to all sessions together, and not taken yet."""
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
        """Promise `needs` to `session`, until the end of the block at most; yield the earlier promises.

        Since only earlier ones count, the first session to ask is the first to be admitted.
        """
        before = self.outstanding
        self._to_clone[session] = self._to_launch[session] = needs
        try:
            yield before
        finally:
            self.clone_made(session)
            self.browser_runs(session)

    def clone_made(self, session: str) -> None:
        """Note that a session's clone is made, so its disk space is no longer promised. Idempotent."""
        self._to_clone.pop(session, None)

    def browser_runs(self, session: str) -> None:
        """Note that a session's browser runs, so its memory and pids are no longer promised. Idempotent."""
        self._to_launch.pop(session, None)
