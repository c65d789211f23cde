"""Reads a profile's SQLite databases as they are on the disk, in memory; writes nothing.

A browser that was killed leaves a write-ahead log behind, and what it holds counts. To read a database with
such a log, SQLite itself would write to it, and SQLite opens no path longer than 512 bytes. So both files are
read as they are and the log is applied in memory: nothing that they hold reaches a disk.

A page that has broken out of its browser may have written them, so they are taken for hostile: reading ends
within seconds, takes a limited amount of memory, and carries out nothing that the schema holds.
"""

import os
import sqlite3
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

# SQLite's file formats: https://sqlite.org/fileformat2.html and its section on the write-ahead log.
_PAGE_SIZE_AT, _VERSIONS_AT, _ROLLBACK_VERSIONS = 16, slice(18, 20), b"\1\1"
_HEADER_BYTES = 100
_PAGE_SIZES = frozenset(1 << power for power in range(9, 17))
_LOG_HEADER = struct.Struct(">8x I 4x 8s 8x")  # page size, salt
_FRAME_HEADER = struct.Struct(">I I 8s 8x")  # page number, pages after a commit or 0, salt
# How often to read a database that somebody writes to meanwhile, and the pause between two attempts.
_TRIES = 5
_PAUSE_S = 0.05
JOURNAL_MAGIC: Final = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
# A database of Firefox takes milliseconds to read. The time is checked each so many steps of SQLite.
_READING_S = 10.0
_STEPS = 1000

UNREADABLE: Final = (OSError, ValueError, struct.error, sqlite3.Error, OverflowError)
"""What is raised for a database that can't be read, here and by SQLite."""


@contextmanager
def open_in_memory(path: Path, *, table: str, max_bytes: int) -> Iterator[sqlite3.Connection | None]:
    """Open a copy, in memory, of the database at `path` as of its last commit; None if there is none. Blocks.

    A browser may have it open. Raises one of `UNREADABLE`, also if it has more than `max_bytes`, changes all
    the time, was left in the middle of a change that only SQLite itself can take back, or is no regular file;
    and if `table` is a view or computes its values. So do queries that are not over in time.
    """
    database = _read_steadily(path, max_bytes)
    if database is None:
        yield None
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(database)
        # One call of a function can take hours, and the time is only checked between calls.
        connection.setlimit(sqlite3.SQLITE_LIMIT_FUNCTION_ARG, 0)
        stop_at(time.monotonic() + _READING_S, connection)
        _refuse_computed(connection, table)
        yield connection


def stop_at(deadline: float, connection: sqlite3.Connection) -> None:
    """Have queries fail with `sqlite3.OperationalError` once the monotonic clock is at `deadline`."""
    connection.set_progress_handler(lambda: time.monotonic() >= deadline, _STEPS)


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read it. Raises `OSError`, or `ValueError` if it is no regular one: it could block."""
    file = open(path, "rb", opener=_open_without_blocking)  # noqa: SIM115  # with an opener
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("it is no regular file")
    return file


def _open_without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _refuse_computed(connection: sqlite3.Connection, name: str) -> None:
    """Raise `ValueError` unless a table is there, and only has what was stored."""
    kinds = [row[2] for row in connection.execute(f"PRAGMA main.table_list({name})")]
    if kinds != ["table"]:
        raise ValueError(f"it has no table {name}")
    if any(row[6] for row in connection.execute(f"PRAGMA main.table_xinfo({name})")):
        raise ValueError(f"its table {name} has columns that are computed")


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
        with open_regular(path) as file:
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
    if page_size not in _PAGE_SIZES:
        raise ValueError(f"pages of {page_size} bytes")
    for number, page in _committed_pages(path, page_size, max_bytes):
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
        with open_regular(path.with_name(f"{path.name}-journal")) as file:
            is_hot = file.read(len(JOURNAL_MAGIC)) == JOURNAL_MAGIC
    except FileNotFoundError:
        return
    if is_hot:
        raise ValueError("it was left in the middle of a change: open and close it once with its browser")


def _committed_pages(path: Path, page_size: int, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield the pages in the database's log, each with its number, up to the last commit.

    Frames from an earlier use of the file have another salt. Checksums are not verified: they matter only
    after a loss of power, and SQLite reports a torn database. Raises `ValueError` for more than `max_bytes`.
    """
    try:
        log = open_regular(path.with_name(f"{path.name}-wal"))
    except FileNotFoundError:
        return
    with log:
        header = log.read(_LOG_HEADER.size)
        if len(header) < _LOG_HEADER.size:
            return
        log_page_size, salt = _LOG_HEADER.unpack(header)
        if log_page_size != page_size:
            return
        pending: list[tuple[int, bytes]] = []
        step = _FRAME_HEADER.size + page_size
        size = 0
        # Up to the first frame of an older log: SQLite reuses the file from its start without truncating it.
        while len(frame := log.read(step)) == step:
            number, pages_if_commit, frame_salt = _FRAME_HEADER.unpack_from(frame)
            if frame_salt != salt or number == 0:
                break
            size += step
            if size > max_bytes:
                raise ValueError(f"a log of more than {max_bytes} bytes")
            pending.append((number, frame[_FRAME_HEADER.size :]))
            if pages_if_commit:
                yield from pending
                pending.clear()
