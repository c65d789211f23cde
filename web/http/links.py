"""Links by which people without the daemon's token watch one session, or take control of it."""

import hashlib
import hmac
import secrets
import time
from typing import Final

import attrs
import trio

from greenroom.actors.lifecycle import WatchMode
from greenroom.web.http.errors import InvalidRequest
from greenroom.web.http.tokens import Token

MAX_TTL_S: Final = 24 * 3600
# Of one session, at a time.
MAX_LINKS: Final = 50
_PREFIX = "gl1"
_SEPARATOR = "."


@attrs.frozen(kw_only=True)
class Link:
    """The right to watch one session until `expires`, a Unix time; in mode CONTROL, to take control of it."""

    id: str
    session_id: str
    mode: WatchMode
    expires: float
    name: str
    maker: Token | None = None
    """The token that it was made with: it holds no longer than that."""


@attrs.define(eq=False, repr=False)
class Links:
    """Makes links, checks them and revokes them.

    A link's token is signed with a key that nobody else has and that ends with the daemon, as its sessions
    do. It names the session and how long it holds, so that none of this can be changed.
    """

    _key: bytes = attrs.field(factory=lambda: secrets.token_bytes(32), init=False)
    _links: dict[str, Link] = attrs.field(factory=dict, init=False)
    _leases: dict[str, str] = attrs.field(factory=dict, init=False)
    _revoked: trio.Event = attrs.field(factory=trio.Event, init=False)

    @staticmethod
    def is_token(text: str) -> bool:
        """Return whether `text` looks like a link's token."""
        return text.startswith(_PREFIX + _SEPARATOR)

    def make(
        self, session_id: str, mode: WatchMode, ttl_s: float, name: str, maker: Token | None = None
    ) -> tuple[Link, str]:
        """Return a new link to a session, and its token. Raises `InvalidRequest` if there are too many."""
        if len(self.of(session_id)) >= MAX_LINKS:
            raise InvalidRequest(f"A session has at most {MAX_LINKS} links: revoke some")
        link = Link(
            id=secrets.token_urlsafe(9),
            session_id=session_id,
            mode=mode,
            expires=time.time() + ttl_s,
            name=name,
            maker=maker,
        )
        self._links[link.id] = link
        return link, _SEPARATOR.join((_PREFIX, link.id, self._sign(link)))

    def find(self, token: str) -> Link | None:
        """Return the link of a token; None if it has expired, was revoked, or was not made here."""
        prefix, _, rest = token.partition(_SEPARATOR)
        id_, _, signature = rest.partition(_SEPARATOR)
        link = self._links.get(id_)
        if prefix != _PREFIX or link is None or link.expires <= time.time():
            return None
        return link if hmac.compare_digest(signature.encode(), self._sign(link).encode()) else None

    def of(self, session_id: str) -> list[Link]:
        """Return the links to a session that hold, oldest first."""
        self._forget_expired()
        return [link for link in self._links.values() if link.session_id == session_id]

    def note_lease(self, link: Link, lease: str) -> None:
        """Remember the control that was taken by a link: it ends with the link."""
        self._leases[link.id] = lease

    def revoke(self, session_id: str, link_id: str) -> str | None:
        """Revoke a link of that session, if there is one; return the lease that was taken by it, if any."""
        link = self._links.get(link_id)
        if link is None or link.session_id != session_id:
            return None
        del self._links[link_id]
        self._revoked.set()
        self._revoked = trio.Event()
        return self._leases.pop(link_id, None)

    async def wait_over(self, link: Link) -> None:
        """Return once a link no longer holds."""
        with trio.move_on_after(max(0.0, link.expires - time.time())):
            while link.id in self._links:
                await self._revoked.wait()

    def _sign(self, link: Link) -> str:
        about = _SEPARATOR.join((link.id, link.session_id, link.mode.value, str(link.expires)))
        return hmac.new(self._key, about.encode(), hashlib.sha256).hexdigest()

    def _forget_expired(self) -> None:
        now = time.time()
        for link in [link for link in self._links.values() if link.expires <= now]:
            del self._links[link.id]
            self._leases.pop(link.id, None)
