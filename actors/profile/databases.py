"""Checks that a profile's databases are sound.

A page that has broken out of its browser may have written them, and SQLite itself opens them here.
"""

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from greenroom.actors.profile.sqlite import JOURNAL_MAGIC, open_regular, stop_at

# Firefox's own databases of keys and certificates; other files with this suffix may be anything.
_NAMES = {"cert9.db", "key4.db"}
# https://sqlite.org/fileformat2.html
_MAGIC = b"SQLite format 3\0"
# All databases of a profile take a second or so; a disk can be slow.
_CHECKING_S = 60.0


def find_damage(profile: Path) -> str | None:
    """Return which of a profile's SQLite databases is damaged, and how; None if none is.

    What is left of a write-ahead log is put into its database. Nobody may use the profile meanwhile. Blocks
    for a second or so; databases that take much longer are taken for damaged. Raises `OSError`.
    """
    deadline = time.monotonic() + _CHECKING_S
    for path in _databases(profile):
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
        if not head:
            continue  # SQLite writes nothing before the first table
        try:
            if head != _MAGIC:
                raise sqlite3.DatabaseError("file is not a database")
            _refuse_traps(path)
            with contextlib.closing(sqlite3.connect(path)) as database:
                stop_at(deadline, database)
                found = database.execute("PRAGMA integrity_check(1)").fetchone()
        except (sqlite3.Error, ValueError) as exc:
            found = (str(exc),)
        if found != ("ok",):
            return f"{path.relative_to(profile)}: {found[0] if found else 'no answer'}"
    return None


def _refuse_traps(path: Path) -> None:
    """Raise `ValueError` if SQLite could be harmed, or do harm, by the files that it looks for at a database.

    It waits for a FIFO, writes through a link, and deletes whatever file a journal names as the one of a
    change to several databases: https://sqlite.org/fileformat2.html#the_rollback_journal.
    """
    for suffix in ("-wal", "-shm", "-journal"):
        companion = path.with_name(path.name + suffix)
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(companion.lstat().st_mode):
                raise ValueError(f"{companion.name} is no regular file")
    with contextlib.suppress(FileNotFoundError), open_regular(path.with_name(f"{path.name}-journal")) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - len(JOURNAL_MAGIC)))
        if file.read() == JOURNAL_MAGIC:
            raise ValueError("its journal names another file")


def _databases(profile: Path) -> Iterator[Path]:
    for path in sorted(profile.rglob("*")):
        is_database = path.suffix == ".sqlite" or path.name in _NAMES
        if is_database and path.is_file() and not path.is_symlink():
            yield path
