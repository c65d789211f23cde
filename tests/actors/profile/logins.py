"""Profiles with a login, as Firefox keeps it."""

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

_SCHEMA = (
    "CREATE TABLE moz_cookies (id INTEGER PRIMARY KEY, originAttributes TEXT NOT NULL DEFAULT '', name TEXT, "
    "value TEXT, host TEXT, path TEXT, expiry INTEGER, isSecure INTEGER DEFAULT 0, "
    "isHttpOnly INTEGER DEFAULT 0, sameSite INTEGER DEFAULT 0)"
)


def keep_login(profile: Path, *, host: str, expires_at: datetime, name: str = "sessionid") -> Path:
    """Replace all cookies of the profile with a single one, and return the profile."""
    path = profile / "cookies.sqlite"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute(_SCHEMA)
        database.execute(
            "INSERT INTO moz_cookies (name, value, host, path, expiry) VALUES (?, 'secret', ?, '/', ?)",
            (name, host, int(expires_at.timestamp() * 1000)),
        )
        database.commit()
    return profile
