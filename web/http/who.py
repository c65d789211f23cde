"""Who asks: somebody with a token, or with a link to one session."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import attrs
import trio

from greenroom.actors.errors import ProfileNotFound, SessionNotFound
from greenroom.actors.events import Event, SessionEvent
from greenroom.actors.lifecycle import ProfileMode, ProfileUse, WatchMode
from greenroom.actors.session.order import Maker
from greenroom.supervisor.self_check import Check, Subject
from greenroom.web.groups import sole_error_bare
from greenroom.web.http.errors import NotAllowed, Unauthorized
from greenroom.web.http.links import Link
from greenroom.web.http.scopes import WEBSOCKET, WHOLE_DAEMON, scope_of
from greenroom.web.http.session_paths import session_path
from greenroom.web.http.tokens import OPERATOR, Scope, Token

_VIEW: Final = frozenset(
    {
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/watch"),
        ("GET", "/live.jpg"),
        ("GET", "/live.mjpeg"),
        ("GET", "/pages"),
        ("GET", "/control"),
    }
)
ROUTES_BY_LINK: Final = _VIEW | {("POST", "/control"), ("POST", "/actions")}
"""The methods, and the paths below a session's own, that a link allows whoever may take control."""


_EXTENT: Final = {WatchMode.VIEW: " only", WatchMode.CONTROL: " and taking control of it"}

T = TypeVar("T")


async def cancel_after(over: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    """Cancel `scope` once `over` returns: what a client reads ends with its right to."""
    await over()
    scope.cancel(reason="the client may have no more")


async def while_allowed(who: "Who", work: Callable[[], Awaitable[T]]) -> T:
    """Return what `work` does. If they lose their right meanwhile, cancel it and raise `Unauthorized`."""
    with sole_error_bare(layers=1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_after, who.wait_over, nursery.cancel_scope)
            done = await work()
            nursery.cancel_scope.cancel(reason="it is done")
            return done
    raise Unauthorized("The token, or the link, does not hold any more")


@attrs.frozen
class Who:
    """Who asks. Without a link and a token it is everybody, since the daemon has no tokens.

    `wait_over` returns once they may ask no more.
    """

    link: Link | None = None
    token: Token | None = None
    wait_over: Callable[[], Awaitable[None]] = trio.sleep_forever

    @property
    def name(self) -> str:
        """What others are shown of them."""
        if self.link is not None:
            return self.link.name
        return OPERATOR if self.token is None else self.token.name

    @property
    def key(self) -> str | None:
        """By what they are counted where they must not crowd out others: None for those who use sessions."""
        if self.link is not None:
            return self.link.id
        return self.name if self.scope < Scope.CONTROL else None

    @property
    def scope(self) -> Scope:
        """What their token allows."""
        return Scope.ADMIN if self.token is None else self.token.scope

    @property
    def mode(self) -> WatchMode:
        """What they may do where they watch."""
        if self.link is not None:
            return self.link.mode
        return WatchMode.VIEW if self.scope < Scope.CONTROL else WatchMode.CONTROL

    @property
    def may_end_control(self) -> bool:
        """Whether they may end the control of somebody else."""
        return self.link is None and self.scope >= Scope.ADMIN

    def called(self, name: str | None) -> str:
        """Return what others are shown of them where they give themselves a `name`."""
        if self.link is not None or not name:
            return self.name
        return name if self.token is None else f"{name} ({self.token.name})"

    def check(self, method: str, route: str | None, path: str) -> None:
        """Raise `NotAllowed` unless they may ask this. A WebSocket's method is `scopes.WEBSOCKET`."""
        if self.link is not None:
            self._check_link(self.link, method, path)
        needed = scope_of(method, route)
        if self.scope < needed:
            raise NotAllowed(
                f"This takes a token with the scope {needed.word}; yours, {self.name}, has {self.scope.word}"
            )
        if not self.sees_all and route in WHOLE_DAEMON:
            raise NotAllowed("This shows all profiles, and your token is only for some")

    @staticmethod
    def _check_link(link: Link, method: str, path: str) -> None:
        base = session_path(link.session_id)
        allowed = ROUTES_BY_LINK if link.mode is WatchMode.CONTROL else _VIEW
        asked = "GET" if method == WEBSOCKET else method, path[len(base) :]
        if not path.startswith(base) or asked not in allowed:
            raise NotAllowed("This link is for watching one session" + _EXTENT[link.mode])

    @property
    def profiles(self) -> tuple[str, ...] | None:
        """The only profiles that they may see, by name; None for all."""
        if self.token is None or self.token.profiles is None:
            return None
        return tuple(sorted(self.token.profiles))

    @property
    def sees_all(self) -> bool:
        """Whether they may see all profiles."""
        return self.profiles is None

    def sees(self, profile: str) -> bool:
        """Return whether they may see a profile and its sessions."""
        return self.profiles is None or profile in self.profiles

    def checks(self, checks: Mapping[Subject, Check]) -> Mapping[Subject, Check]:
        """Return the self-check's results as far as they may see them."""
        if self.sees_all and self.link is None:
            return checks
        return {subject: check.without_text() for subject, check in checks.items()}

    def sees_event(self, event: Event) -> bool:
        """Return whether they may see an event."""
        return self.sees_all or (isinstance(event, SessionEvent) and self.sees(event.session.profile.name))

    def check_profile(self, name: str) -> None:
        """Raise `ProfileNotFound` unless they may see a profile: what they may not see is not there."""
        if not self.sees(name):
            raise ProfileNotFound(name)

    def check_use(self, use: ProfileUse) -> None:
        """Raise `NotAllowed` or `ProfileNotFound` unless they may make a session that uses a profile so."""
        if not self.sees(use.name):
            yours = ", ".join(self.profiles or ())
            raise ProfileNotFound(use.name, told=f"your token is for {yours}; name one with X-Profile")
        if use.mode is ProfileMode.WRITE and self.scope < Scope.ADMIN:
            raise NotAllowed("A session that changes its profile takes a token with the scope admin")

    @property
    def maker(self) -> Maker | None:
        """Whose the sessions are that they make; None if the daemon has no tokens."""
        return (
            None if self.token is None else Maker(name=self.token.name, max_sessions=self.token.max_sessions)
        )

    def own(self, key: str | None) -> str | None:
        """Return an idempotency key so that it does not meet the same one of another token."""
        return key if key is None or self.token is None else f"{self.token.name} {key}"

    def check_session(self, session_id: str, profile: str) -> None:
        """Raise `SessionNotFound` unless they may see the sessions of a profile."""
        if not self.sees(profile):
            raise SessionNotFound(session_id)
