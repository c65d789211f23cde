"""How long a live session may live: until it expires, unless it is extended, or until it has been idle."""

import contextlib
from collections.abc import Iterator

import attrs
import trio


@attrs.define(eq=False, kw_only=True)
class Lifetime:
    """Moves the deadline of a live session's `scope`, which is the session's only timer.

    Times are seconds on Trio's clock; `expires` is when the session ends at the latest. A session is idle
    while nothing uses it.
    """

    scope: trio.CancelScope
    max_duration_s: float
    ceiling_s: float
    idle_timeout_s: float
    expires: float = attrs.field(init=False)
    _since: float = attrs.field(init=False)
    _idle_since: float = attrs.field(init=False)
    _users: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._since = self._idle_since = trio.current_time()
        self.expires = self._since + self.max_duration_s
        self._set_deadline()

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed: it can't be moved any more."""
        return self.scope.cancel_called or trio.current_time() >= self.scope.deadline

    @property
    def is_idle_end(self) -> bool:
        """Whether the deadline is that of an idle session, before it expires."""
        return self.scope.deadline < self.expires

    def extend(self, seconds: float) -> None:
        """Let the session live longer, up to its ceiling."""
        self.expires = max(self.expires, min(self.expires + seconds, self._since + self.ceiling_s))
        self._set_deadline()

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Keep the session from being idle during the block."""
        self._users += 1
        self._set_deadline()
        try:
            yield
        finally:
            self._users -= 1
            self._idle_since = trio.current_time()
            self._set_deadline()

    def _set_deadline(self) -> None:
        if not self.scope.cancel_called:
            idle_end = self.expires if self._users else self._idle_since + self.idle_timeout_s
            self.scope.deadline = min(self.expires, idle_end)
