"""The tables of the history's file, and how those of earlier versions become today's."""

import sqlite3
from typing import Final

from greenroom.actors.lifecycle import SessionState

PHASES: Final = tuple(state.value for state in SessionState if state is not SessionState.ENDED)
"""The phases whose lengths have columns, each named like it with `_ms`."""

# Each brings a file to the version that is its place in the list, from 1. Never change one that was released:
# add another, and a file as the version before it wrote it to tests/supervisor/history/schemas.
_MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE ended (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            created_us INTEGER NOT NULL,
            ended_us INTEGER NOT NULL,
            outcome TEXT NOT NULL,
            end_reason TEXT NOT NULL,
            error TEXT,
            profile TEXT NOT NULL,
            profile_mode TEXT NOT NULL,
            purpose TEXT NOT NULL,
            was_warm INTEGER NOT NULL,
            login_state TEXT,
            login_reason TEXT,
            creation_ms INTEGER,
            cloning_ms INTEGER,
            queued_ms INTEGER,
            launching_ms INTEGER,
            warm_ms INTEGER,
            navigating_ms INTEGER,
            judging_ms INTEGER,
            live_ms INTEGER,
            ending_ms INTEGER,
            peak_memory_bytes INTEGER,
            peak_processes INTEGER,
            peak_disk_bytes INTEGER,
            politely INTEGER NOT NULL,
            by_force INTEGER NOT NULL,
            bytes_freed INTEGER NOT NULL,
            "left" TEXT NOT NULL, -- JSON
            held TEXT NOT NULL, -- JSON
            "commit" TEXT, -- JSON
            refused_calls INTEGER NOT NULL,
            has_bundle INTEGER NOT NULL
        )
        """,
        "CREATE INDEX ended_by_end ON ended (ended_us, number)",
    ),
)

VERSION: Final = len(_MIGRATIONS)
"""The version that this program reads and writes, as the file's `user_version`."""


class NewerSchema(Exception):
    """A newer Greenroom has written the file; this one can't know what it means."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"a newer Greenroom has written it: its schema is {version}, this one knows {VERSION}"
        )


def version_of(connection: sqlite3.Connection) -> int:
    """Return a file's version; 0 for an empty one. Raises `sqlite3.Error`, or `NewerSchema`."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise NewerSchema(version)
    return version


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file to today's version, in one transaction. Raises `sqlite3.Error`, or `NewerSchema`."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for statements in _MIGRATIONS[version_of(connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
