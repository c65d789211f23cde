"""The bearer tokens that open the daemon: each has a name, a scope, and perhaps profiles and limits."""

import enum
import hmac
from collections.abc import Iterable
from typing import Final, Literal, cast

import attrs
import trio

from greenroom.supervisor.secret import Secret

OPERATOR: Final = "operator"
"""The name of the token in the setting `token`, and of everybody while the daemon has no token at all."""

ScopeWord = Literal["read", "control", "admin"]


class Scope(enum.IntEnum):
    """What a token allows; each scope includes those before it."""

    READ = 1
    """See what there is."""
    CONTROL = 2
    """Make, use and end sessions that only read their profile."""
    ADMIN = 3
    """Change profiles."""

    @property
    def word(self) -> ScopeWord:
        """The scope as it is written."""
        return cast("ScopeWord", self.name.lower())


@attrs.frozen(kw_only=True)
class Token:
    """One token. `profiles` are the only ones that it is for; None means all.

    `max_sessions` may be live at once of those that were made with it, and `requests_per_minute` may be made
    with it on average; None means no limit of its own.
    """

    name: str
    secret: Secret = attrs.field(repr=False)
    scope: Scope
    profiles: frozenset[str] | None = None
    max_sessions: int | None = None
    requests_per_minute: int | None = None


@attrs.define(eq=False, repr=False)
class Tokens:
    """The tokens that hold now. A daemon without any lets everybody do everything."""

    _tokens: tuple[Token, ...]
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def find(self, given: str) -> Token | None:
        """Return the token whose secret is `given`. How long this takes shows nothing about the secrets."""
        found = None
        for token in self._tokens:
            if hmac.compare_digest(given.encode(), token.secret.reveal().encode()):
                found = token
        return found

    def named(self, name: str) -> Token | None:
        """Return the token of that name."""
        return next((token for token in self._tokens if token.name == name), None)

    def holds(self, token: Token) -> bool:
        """Return whether a token is still what it was when it was found."""
        return token in self._tokens

    def replace(self, tokens: Iterable[Token]) -> list[str]:
        """Let these tokens hold, and no others; return the names of those that differ."""
        before, self._tokens = set(self._tokens), tuple(tokens)
        self._changed.set()
        self._changed = trio.Event()
        return sorted({token.name for token in before ^ set(self._tokens)})

    async def wait_over(self, token: Token) -> None:
        """Return once a token no longer holds, or has come to allow something else."""
        while self.holds(token):
            await self._changed.wait()
