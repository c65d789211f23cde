"""Renews logins: opens a session of each profile again and again, and keeps what the site changes."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import attrs
import structlog
import trio

from greenroom.actors.bulkhead import contain
from greenroom.actors.errors import GreenroomError, NotLoggedIn, SupervisorStopped
from greenroom.actors.lifecycle import ProfileInfo
from greenroom.actors.machine.ports import Machine

# How often to look whether a refresh is due and can be.
LOOK_S = 60.0
# When to try again after a refresh that failed. For a login that the site has ended, the pause doubles each
# time, up to MAX_RETRY_S: only a person can help, though its cookie still holds.
RETRY_S = 1800.0
MAX_RETRY_S = 7 * 24 * 3600.0
_DOUBLINGS = 20  # more would be beyond MAX_RETRY_S anyway
# The interval varies, so that a site is not visited by the clock.
_JITTER = 0.1

_log = structlog.get_logger("greenroom.refresh")


@attrs.define(eq=False, kw_only=True, repr=False)
class Refreshing:
    """Refreshes each profile that has a login, every `period_s`, give or take a tenth.

    The time since its last generation counts, whatever made that. A profile that `is_used` by sessions is
    left alone until none is. `refresh` refreshes one. What fails is logged and tried again; a login that the
    site has ended ever more seldom, until the profile has another generation.
    """

    machine: Machine
    period_s: float
    refresh: Callable[[str], Awaitable[int]]
    is_used: Callable[[str], bool]
    running: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _due: dict[str, float] = attrs.field(factory=dict, init=False)
    _seen: dict[str, datetime | None] = attrs.field(factory=dict, init=False)
    _logged_out: Counter[str] = attrs.field(factory=Counter, init=False)

    async def run(self) -> None:
        """Refresh until `running` is cancelled, or the supervisor stops."""
        with self.running:
            while True:
                try:
                    for profile in await self.machine.profiles():
                        await self._look_at(profile)
                except SupervisorStopped:
                    return
                except Exception as exc:
                    contain(exc, _log, "the profiles could not be refreshed")
                await trio.sleep(LOOK_S)

    async def _look_at(self, profile: ProfileInfo) -> None:
        now = datetime.now(UTC)
        if profile.login_expires_at is None or profile.login_expires_at <= now:
            return  # it takes a person to log in
        name = profile.name
        if name not in self._due or self._seen[name] != profile.committed_at:
            age_s = (now - profile.committed_at).total_seconds() if profile.committed_at else 0.0
            self._due[name] = trio.current_time() + max(0.0, self._interval() - max(0.0, age_s))
            self._seen[name] = profile.committed_at
            self._logged_out[name] = 0
        if trio.current_time() < self._due[name] or profile.holder is not None or self.is_used(name):
            return
        self._due[name] = trio.current_time() + min(RETRY_S, self.period_s)
        try:
            generation = await self.refresh(name)
        except SupervisorStopped:
            raise
        except GreenroomError as exc:
            if isinstance(exc, NotLoggedIn):
                pause_s = min(RETRY_S, self.period_s) * 2.0 ** min(self._logged_out[name], _DOUBLINGS)
                self._due[name] = trio.current_time() + min(pause_s, MAX_RETRY_S)
                self._logged_out[name] += 1
            _log.warning("a profile was not refreshed", profile=name, error=str(exc), detail=exc.detail)
        except Exception as exc:  # the other profiles have their turn all the same
            contain(exc, _log, "a profile was not refreshed", profile=name)
        else:
            self._due[name] = trio.current_time() + self._interval()
            self._logged_out[name] = 0
            _log.info("a profile was refreshed", profile=name, generation=generation)

    def _interval(self) -> float:
        return self.period_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # no secret
