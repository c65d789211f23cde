"""Reads a profile's SQLite databases as they are on the disk, in memory; writes nothing.

A browser that was killed leaves a write-ahead log behind, and what it holds counts. To read a database with
such a log, SQLite itself would write to it, and SQLite opens no path longer than 512 bytes. So both files are
read as they are and the log is applied in memory: nothing that they hold reaches a disk.
"""

import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

# SQLite's file formats: https://sqlite.org/fileformat2.html and its section on the write-ahead log.
_PAGE_SIZE_AT, _VERSIONS_AT, _ROLLBACK_VERSIONS = 16, slice(18, 20), b"\1\1"
_HEADER_BYTES = 100
_LOG_HEADER = struct.Struct(">8x I 4x 8s 8x")  # page size, salt
_FRAME_HEADER = struct.Struct(">I I 8s 8x")  # page number, pages after a commit or 0, salt
# How often to read a database that somebody writes to meanwhile, and the pause between two attempts.
_TRIES = 5
_PAUSE_S = 0.05
_JOURNAL_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"

UNREADABLE: Final = (OSError, ValueError, struct.error, sqlite3.Error, OverflowError)
"""What is raised for a database that can't be read, here and by SQLite."""


@contextmanager
def open_in_memory(path: Path, *, max_bytes: int) -> Iterator[sqlite3.Connection | None]:
    """Open a copy, in memory, of the database at `path` as of its last commit; None if there is none. Blocks.

    A browser may have it open. Raises one of `UNREADABLE`, also if it has more than `max_bytes`, changes all
    the time, or was left in the middle of a change that only SQLite itself can take back.
    """
    database = _read_steadily(path, max_bytes)
    if database is None:
        yield None
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(database)
        yield connection


def _read_steadily(path: Path, max_bytes: int) -> bytes | None:
    """Return the database as of its last commit. Read it again if it changes meanwhile: it may be torn."""
    for _ in range(_TRIES):
        before = _state(path)
        database = _with_log(path, max_bytes)
        if _state(path) == before:
            return database
        time.sleep(_PAUSE_S)
    raise ValueError("it changes all the time")


def _state(path: Path) -> list[tuple[int, int, int] | None]:
    """Return what changes once somebody has written to a database or its log."""
    found: list[tuple[int, int, int] | None] = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            status = file.stat()
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except FileNotFoundError:
            found.append(None)
    return found


def _with_log(path: Path, max_bytes: int) -> bytes | None:
    """Return the database as of its last commit, in the form that needs no log, or None if there is none."""
    try:
        with path.open("rb") as file:
            database = bytearray(file.read(max_bytes + 1))
    except FileNotFoundError:
        return None
    if len(database) > max_bytes:
        raise ValueError(f"more than {max_bytes} bytes")
    if len(database) < _HEADER_BYTES:
        return None  # created, but nothing was written yet
    _refuse_journal(path)
    # The field has two bytes, so the format writes 65536 as 1.
    (page_size,) = struct.unpack_from(">H", database, _PAGE_SIZE_AT)
    page_size = 65536 if page_size == 1 else page_size
    for number, page in _committed_pages(path, page_size):
        end = number * page_size
        if end > max_bytes:
            raise ValueError(f"page {number} of {page_size} bytes")
        database.extend(bytes(max(0, end - len(database))))
        database[end - page_size : end] = page
    # Marked as WAL, an in-memory copy could not be opened: there is no place for its log.
    database[_VERSIONS_AT] = _ROLLBACK_VERSIONS
    return bytes(database)


def _refuse_journal(path: Path) -> None:
    """Raise `ValueError` if a change was interrupted: the database is then half changed."""
    try:
        with path.with_name(f"{path.name}-journal").open("rb") as file:
            is_hot = file.read(len(_JOURNAL_MAGIC)) == _JOURNAL_MAGIC
    except FileNotFoundError:
        return
    if is_hot:
        raise ValueError("it was left in the middle of a change: open and close it once with its browser")


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
