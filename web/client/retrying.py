"""When something is asked again, and after how long."""

import math
from collections.abc import Callable
from typing import Final

import attrs

from greenroom.web.client.errors import ApiError, ClientError, DaemonUnreachable

_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 10.0


@attrs.define(eq=False, kw_only=True)
class Retrying:
    """Says how long to wait before asking again: for `budget_s` seconds in all, and with 0 never.

    The daemon decides: what it calls retryable is asked again after the time in its Retry-After, and nothing
    is without one. What lost its answer is asked again after 1 s, 2 s, and so on up to 10 s; with
    `expects_restart`, so is what no daemon answers. `clock` tells the time in seconds.
    """

    budget_s: float
    clock: Callable[[], float]
    expects_restart: bool = False
    _deadline: float | None = attrs.field(default=None, init=False)
    _connected_at: float = attrs.field(default=math.inf, init=False)
    _loss_wait_s: float = attrs.field(factory=lambda: _FIRST_WAIT_S, init=False)

    def connected(self) -> None:
        """Note that a stream has begun. Once it has lasted, the time before it does not count."""
        self.expects_restart = True
        self._connected_at = self.clock()

    def succeeded(self) -> None:
        """Begin anew: the time until now does not count."""
        self._deadline, self._loss_wait_s = None, _FIRST_WAIT_S

    def wait_s(self, error: ClientError) -> float | None:
        """Return how many seconds to wait after `error`, or None if it is final."""
        now = self.clock()
        if now - self._connected_at > _LONGEST_WAIT_S:
            self.succeeded()
        self._connected_at = math.inf
        if self._deadline is None:
            self._deadline = now + self.budget_s
        wait_s = self._wait_after(error)
        return None if wait_s is None or now + wait_s > self._deadline else wait_s

    def _wait_after(self, error: ClientError) -> float | None:
        match error:
            case ApiError(retryable=True, retry_after_s=retry_after_s):
                return retry_after_s
            case DaemonUnreachable(was_asked=was_asked) if was_asked or self.expects_restart:
                wait_s = self._loss_wait_s
                self._loss_wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                return wait_s
        return None
