"""Reads from a profile's cookies whether it keeps a login, and until when; writes and runs nothing.

No cookie's value reaches a disk or a message.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from greenroom.actors.errors import ProfileUnusable
from greenroom.actors.machine.storage_state import Cookie
from greenroom.actors.profile.sqlite import UNREADABLE, open_in_memory

TOKENS: Final = ("sessionid", "sessionid_ss", "sid_tt")
"""The cookies that prove a login to TikTok. Each is proof by itself."""

LOGIN_COOKIES: Final = (*TOKENS, "sid_guard", "uid_tt")
"""All cookies that belong to a login."""

# `nsICookie.SAMESITE_*` in netwerk/cookie/nsICookie.idl; 256 is for those that say nothing.
_SAME_SITE: Final[Mapping[int, Literal["Lax", "Strict"]]] = {1: "Lax", 2: "Strict"}

COOKIES_FILE: Final = "cookies.sqlite"
_OF_NO_CONTAINER: Final = "FROM moz_cookies WHERE originAttributes = ''"

_MAX_BYTES = 64 << 20  # Firefox keeps a few thousand cookies at most: some MB
_ROW_BYTES = 100  # what a row takes besides its texts, about
# Firefox stored seconds until 2025 and has stored milliseconds since; as seconds, this is the year 5138.
_SURELY_MILLISECONDS = 10**11
_LAST_SECOND = 253_402_300_799  # of the year 9999, after which `datetime` ends


@attrs.frozen(kw_only=True)
class SavedLogin:
    """The login that a profile keeps: the names of its cookies, and when the last proof among them expires.

    Without a proof there is no login, and `expires_at` is None. It may be in the past.
    """

    names: tuple[str, ...]
    expires_at: datetime | None

    def holds_at(self, moment: datetime) -> bool:
        """Return whether the login is still valid at `moment`, as far as the profile knows."""
        return self.expires_at is not None and self.expires_at > moment


def read_login(profile: Path, host: str) -> SavedLogin:
    """Return what `profile` keeps of a login at `host`. Blocks.

    Cookies that end with the browser are in no file. Those of containers are ignored, since sessions don't
    use containers. If a browser has the profile open, they are those that it has written so far. Raises
    `ProfileUnusable` when the cookies can't be read.
    """
    places = ",".join("?" * len(LOGIN_COOKIES))
    rows = _read(
        profile, f"SELECT name, host, expiry {_OF_NO_CONTAINER} AND name IN ({places})", LOGIN_COOKIES
    )
    expiries: dict[str, float] = {}
    for name, domain, expiry in rows:
        if is_sent_to(host, str(domain)):
            expiries[name] = max(_seconds(expiry), expiries.get(name, 0))
    last = max((expiries[name] for name in TOKENS if name in expiries), default=None)
    return SavedLogin(
        names=tuple(name for name in LOGIN_COOKIES if name in expiries),
        expires_at=None if last is None else datetime.fromtimestamp(last, UTC),
    )


def digest_login(profile: Path, host: str) -> dict[str, str]:
    """Return a digest of the value of each login cookie that `profile` keeps for `host`, by its name.

    Blocks. Raises as `read_login` does.
    """
    places = ",".join("?" * len(LOGIN_COOKIES))
    rows = _read(
        profile, f"SELECT name, value, host {_OF_NO_CONTAINER} AND name IN ({places})", LOGIN_COOKIES
    )
    return {
        name: hashlib.sha256(str(value).encode()).hexdigest()
        for name, value, domain in rows
        if is_sent_to(host, str(domain))
    }


def read_cookies(profile: Path) -> list[Cookie]:
    """Return all cookies that `profile` keeps, with their values. Blocks. Raises as `read_login` does."""
    rows = _read(
        profile, f"SELECT name, value, host, path, expiry, isSecure, isHttpOnly, sameSite {_OF_NO_CONTAINER}"
    )
    return [
        Cookie(
            name=str(name),
            value=str(value),
            domain=str(host),
            path=str(path),
            expires=_seconds(expiry),
            secure=bool(secure),
            http_only=bool(http_only),
            same_site=_SAME_SITE.get(same_site, "None" if secure else "Lax"),
        )
        for name, value, host, path, expiry, secure, http_only, same_site in rows
    ]


def is_sent_to(host: str, domain: str) -> bool:
    """Return whether a cookie of `domain`, as Firefox stores it, is sent to `host`."""
    host, domain = host.lower(), domain.lower()
    return domain == host or (domain.startswith(".") and f".{host}".endswith(domain))


def _read(profile: Path, query: str, values: tuple[str, ...] = ()) -> list[Any]:
    """Return what a query finds in a profile's cookies. Raises `ProfileUnusable`."""
    try:
        with open_in_memory(profile / COOKIES_FILE, table="moz_cookies", max_bytes=_MAX_BYTES) as database:
            return [] if database is None else list(_limited(database.execute(query, values)))
    except UNREADABLE as exc:
        raise ProfileUnusable("The profile's cookies can't be read", detail=str(exc)) from exc


def _limited(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield rows. Raises `ValueError` once they have more than a database may: its rows can share pages."""
    left = _MAX_BYTES
    for row in rows:
        left -= _ROW_BYTES + sum(len(value) for value in row if isinstance(value, str | bytes))
        if left < 0:
            raise ValueError(f"rows of more than {_MAX_BYTES} bytes")
        yield row


def _seconds(stored: Any) -> float:
    """Return a stored time in seconds. Raises `ProfileUnusable`."""
    try:
        expiry = int(stored)
    except (ValueError, TypeError, OverflowError) as exc:
        raise ProfileUnusable("The profile's cookies can't be read", detail=str(exc)) from exc
    seconds = expiry / 1000 if expiry > _SURELY_MILLISECONDS else expiry
    return min(max(seconds, 0), _LAST_SECOND)
