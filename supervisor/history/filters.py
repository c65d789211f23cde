"""Which ended sessions are asked for, and where in their order a page begins."""

import base64
import binascii
import re
from datetime import datetime

import attrs

from greenroom.actors.lifecycle import EndReason
from greenroom.supervisor.history.entry import Outcome

_LAST = "\U0010ffff"  # no id goes on with that
_POSITION = re.compile(r"(\d{1,18})\.(\d{1,18})", re.ASCII)


@attrs.frozen(kw_only=True)
class HistoryFilter:
    """Which sessions: those that have all that is given. They ended at `since` or later, before `until`.

    Their ids begin with `id`. With `profiles`, they are of one of these.
    """

    id: str | None = None
    outcome: Outcome | None = None
    end_reason: EndReason | None = None
    profile: str | None = None
    profiles: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None

    def as_sql(self) -> tuple[str, tuple[str | int, ...]]:
        """Return a condition on the table `ended`, and its parameters."""
        conditions: list[tuple[str | int, ...]] = []
        if self.id is not None:
            conditions.append(("id >= ? AND id < ?", self.id, f"{self.id}{_LAST}"))
        if self.outcome is not None:
            conditions.append(("outcome = ?", self.outcome.value))
        if self.end_reason is not None:
            conditions.append(("end_reason = ?", self.end_reason.value))
        if self.profile is not None:
            conditions.append(("profile = ?", self.profile))
        if self.profiles is not None:
            names = ", ".join("?" * len(self.profiles))
            conditions.append((f"profile IN ({names})", *self.profiles))
        if self.since is not None:
            conditions.append(("ended_us >= ?", to_us(self.since)))
        if self.until is not None:
            conditions.append(("ended_us < ?", to_us(self.until)))
        text = " AND ".join(str(condition) for condition, *_ in conditions)
        return text or "TRUE", tuple(value for _, *values in conditions for value in values)


@attrs.frozen
class Position:
    """A place in the order of sessions, the last to end first: behind the one with this end and number.

    A page that begins there is the same whatever sessions end meanwhile.
    """

    ended_us: int
    number: int

    def encode(self) -> str:
        """Return it as an opaque text."""
        return base64.urlsafe_b64encode(f"{self.ended_us}.{self.number}".encode()).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> "Position":
        """Return the position that was encoded. Raises `ValueError`."""
        try:
            plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        except (binascii.Error, UnicodeError, ValueError):
            plain = ""
        if (found := _POSITION.fullmatch(plain)) is None:
            raise ValueError("This is no cursor of the history")
        return cls(int(found[1]), int(found[2]))


def to_us(moment: datetime) -> int:
    """Return a time as whole microseconds since 1970. Must have a time zone."""
    return round(moment.timestamp() * 1_000_000)
