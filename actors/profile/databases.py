"""Checks that a profile's databases are sound."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

# Firefox's own databases of keys and certificates; other files with this suffix may be anything.
_NAMES = {"cert9.db", "key4.db"}
# https://sqlite.org/fileformat2.html
_MAGIC = b"SQLite format 3\0"


def find_damage(profile: Path) -> str | None:
    """Return which of a profile's SQLite databases is damaged, and how; None if none is.

    What is left of a write-ahead log is put into its database. Nobody may use the profile meanwhile. Blocks
    for a second or so. Raises `OSError`.
    """
    for path in _databases(profile):
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
        if not head:
            continue  # SQLite writes nothing before the first table
        try:
            if head != _MAGIC:
                raise sqlite3.DatabaseError("file is not a database")
            with contextlib.closing(sqlite3.connect(path)) as database:
                found = database.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.Error as exc:
            found = (str(exc),)
        if found != ("ok",):
            return f"{path.relative_to(profile)}: {found[0] if found else 'no answer'}"
    return None


def _databases(profile: Path) -> Iterator[Path]:
    for path in sorted(profile.rglob("*")):
        is_database = path.suffix == ".sqlite" or path.name in _NAMES
        if is_database and path.is_file() and not path.is_symlink():
            yield path
