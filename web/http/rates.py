"""How often requests may be made with a token, and how many sessions there may be of it."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import attrs
import trio

from greenroom.actors.errors import SessionNotFound
from greenroom.actors.lifecycle import ProfileUse, SessionInfo
from greenroom.supervisor.api import Supervisor
from greenroom.web.http.errors import TooManyRequests, TooManySessions
from greenroom.web.http.tokens import Token

_MINUTE_S = 60.0
# When none of a token's sessions has a time to end, because all are being made.
_ASK_AGAIN_S = 5.0

Key = tuple[str, ProfileUse]
"""An idempotency key, and what the session is for."""

Note = Callable[[SessionInfo], None]


@attrs.define(eq=False, repr=False)
class Rates:
    """Counts requests by token: a bucket each that fills evenly, and holds a minute's requests at most."""

    _full_at: dict[str, float] = attrs.field(factory=dict, init=False)

    def take(self, token: Token | None) -> None:
        """Count one request. Raises `TooManyRequests` if the token has none left now."""
        if token is None or token.requests_per_minute is None:
            return
        now, each_s = trio.current_time(), _MINUTE_S / token.requests_per_minute
        full_at = max(self._full_at.get(token.name, now), now) + each_s
        if full_at > now + _MINUTE_S:
            raise TooManyRequests(
                f"The token {token.name} is for {token.requests_per_minute} requests a minute",
                retry_after_s=full_at - now - _MINUTE_S,
            )
        self._full_at[token.name] = full_at


@attrs.define(eq=False)
class _Account:
    """What was made with one token: the live sessions, creations under way, and the keys of both."""

    sessions: dict[str, Key | None] = attrs.field(factory=dict)
    creating: list[Key | None] = attrs.field(factory=list)


@attrs.define(eq=False, repr=False)
class Quotas:
    """Counts live sessions by the token that they were made with."""

    _supervisor: Supervisor
    _accounts: dict[str, _Account] = attrs.field(factory=lambda: defaultdict(_Account), init=False)

    @contextlib.contextmanager
    def creating(self, token: Token | None, key: Key | None = None) -> Iterator[Note]:
        """Count one creation during the block. Call the value with the session, to count that while it lives.

        A repeated request with the `key` of one that is counted already costs nothing. Raises
        `TooManySessions` if the token has no more.
        """
        if token is None or token.max_sessions is None:
            yield lambda _info: None
            return
        account = self._accounts[token.name]
        self._forget_ended(account)
        is_known = key is not None and (key in account.creating or key in account.sessions.values())
        if not is_known and len(account.sessions) + len(account.creating) >= token.max_sessions:
            raise TooManySessions(
                f"The token {token.name} is for {token.max_sessions} sessions at once",
                retry_after_s=self._soonest_s(account),
            )

        def note(info: SessionInfo) -> None:
            account.sessions.setdefault(info.id, key)

        if is_known:
            yield note
            return
        account.creating.append(key)
        try:
            yield note
        finally:
            account.creating.remove(key)

    def _forget_ended(self, account: _Account) -> None:
        for id_ in tuple(account.sessions):
            if (info := self._info(id_)) is None or info.receipt is not None:
                del account.sessions[id_]

    def _soonest_s(self, account: _Account) -> float:
        """Return the seconds until the first of the sessions has to end."""
        infos = [info for id_ in account.sessions if (info := self._info(id_)) is not None]
        ends = [info.expires_at for info in infos if info.expires_at is not None]
        return (min(ends) - datetime.now(UTC)).total_seconds() if ends else _ASK_AGAIN_S

    def _info(self, session_id: str) -> SessionInfo | None:
        try:
            return self._supervisor.handle(session_id).info()
        except SessionNotFound:
            return None
