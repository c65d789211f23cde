"""Reads from a profile's cookies whether it keeps a login, and until when; writes and runs nothing.

Firefox keeps cookies in SQLite with a write-ahead log. A browser that was killed leaves the log behind, and
what it holds counts. To read a database with such a log, SQLite itself would write to it, and SQLite opens no
path longer than 512 bytes. So both files are read as they are and the log is applied in memory: no cookie's
value reaches a disk, a caller, or a message.
"""

import hashlib
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from greenroom.actors.errors import ProfileUnusable
from greenroom.actors.machine.storage_state import Cookie

TOKENS: Final = ("sessionid", "sessionid_ss", "sid_tt")
"""The cookies that prove a login to TikTok. Each is proof by itself."""

LOGIN_COOKIES: Final = (*TOKENS, "sid_guard", "uid_tt")
"""All cookies that belong to a login."""

# `nsICookie.SAMESITE_*` in netwerk/cookie/nsICookie.idl; 256 is for those that say nothing.
_SAME_SITE: Final[Mapping[int, Literal["Lax", "Strict"]]] = {1: "Lax", 2: "Strict"}

COOKIES_FILE: Final = "cookies.sqlite"
_OF_NO_CONTAINER: Final = "FROM moz_cookies WHERE originAttributes = ''"

# SQLite's file formats: https://sqlite.org/fileformat2.html and its section on the write-ahead log.
_PAGE_SIZE_AT, _VERSIONS_AT, _ROLLBACK_VERSIONS = 16, slice(18, 20), b"\1\1"
_HEADER_BYTES = 100
_MAX_BYTES = 1 << 30  # Firefox keeps a few thousand cookies at most: some MB
_LOG_HEADER = struct.Struct(">8x I 4x 8s 8x")  # page size, salt
_FRAME_HEADER = struct.Struct(">I I 8s 8x")  # page number, pages after a commit or 0, salt
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
    use containers. Raises `ProfileUnusable` when the cookies can't be read. No browser may have the profile
    open.
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
        database = _with_log(profile / COOKIES_FILE)
        if database is None:
            return []
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(database)
            return connection.execute(query, values).fetchall()
    except (OSError, ValueError, struct.error, sqlite3.Error, OverflowError) as exc:
        raise ProfileUnusable("The profile's cookies can't be read", detail=str(exc)) from exc


def _seconds(stored: Any) -> float:
    """Return a stored time in seconds. Raises `ProfileUnusable`."""
    try:
        expiry = int(stored)
    except (ValueError, TypeError, OverflowError) as exc:
        raise ProfileUnusable("The profile's cookies can't be read", detail=str(exc)) from exc
    seconds = expiry / 1000 if expiry > _SURELY_MILLISECONDS else expiry
    return min(max(seconds, 0), _LAST_SECOND)


def _with_log(path: Path) -> bytes | None:
    """Return the database as of its last commit, in the form that needs no log, or None if there is none."""
    try:
        database = bytearray(path.read_bytes())
    except FileNotFoundError:
        return None
    if len(database) < _HEADER_BYTES:
        return None  # created, but nothing was written yet
    # The field has two bytes, so the format writes 65536 as 1.
    (page_size,) = struct.unpack_from(">H", database, _PAGE_SIZE_AT)
    page_size = 65536 if page_size == 1 else page_size
    for number, page in _committed_pages(path, page_size):
        end = number * page_size
        if end > _MAX_BYTES:
            raise ValueError(f"page {number} of {page_size} bytes")
        database.extend(bytes(max(0, end - len(database))))
        database[end - page_size : end] = page
    # Marked as WAL, an in-memory copy could not be opened: there is no place for its log.
    database[_VERSIONS_AT] = _ROLLBACK_VERSIONS
    return bytes(database)


def _committed_pages(path: Path, page_size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the pages in the database's log, each with its number, up to the last commit.

    Frames from an earlier use of the file have another salt. Checksums are not verified: they matter only
    after a loss of power, and SQLite reports a torn database.
    """
    try:
        log = path.with_name(f"{path.name}-wal").read_bytes()
    except FileNotFoundError:
        return
    if len(log) < _LOG_HEADER.size:
        return
    log_page_size, salt = _LOG_HEADER.unpack_from(log)
    if log_page_size != page_size:
        return
    pending: list[tuple[int, bytes]] = []
    step = _FRAME_HEADER.size + page_size
    # Up to the first frame of an older log: SQLite reuses the file from its start without truncating it.
    for start in range(_LOG_HEADER.size, len(log) - step + 1, step):
        number, pages_if_commit, frame_salt = _FRAME_HEADER.unpack_from(log, start)
        if frame_salt != salt or number == 0:
            break
        pending.append((number, log[start + _FRAME_HEADER.size : start + step]))
        if pages_if_commit:
            yield from pending
            pending.clear()
