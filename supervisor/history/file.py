"""The history's file, as the one thread that writes it sees it."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

from greenroom.actors.profile import make_private
from greenroom.supervisor.history.entry import EndedSession
from greenroom.supervisor.history.rows import row_of
from greenroom.supervisor.history.schema import migrate, version_of

# How long to wait for another daemon that writes: its transactions take milliseconds.
BUSY_S: Final = 5.0
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIVATE: Final = 0o077


@attrs.define(eq=False, repr=False)
class HistoryFile:
    """An open history. All methods block; they raise `sqlite3.Error`, `OSError` or `NewerSchema`.

    `aside` is where a damaged file is now that was found in its place, or None.
    """

    _path: Path
    _connection: sqlite3.Connection
    aside: Path | None
    _identity: tuple[int, int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._identity = _identity_of(self._path)

    @classmethod
    def open(cls, path: Path) -> "HistoryFile":
        """Open the history at `path` in today's version; make it if it is missing, or damaged.

        The file is its owner's alone, and so is its directory. A damaged one is renamed.
        """
        with _locked(path.parent):
            try:
                return cls(path, _open(path), None)
            except sqlite3.DatabaseError as exc:
                if exc.sqlite_errorcode & 0xFF not in _DAMAGED:
                    raise
            aside = _set_aside(path)
            return cls(path, _open(path), aside)

    @property
    def is_current(self) -> bool:
        """Whether this is still the file at its path: nobody has removed or renamed it."""
        try:
            return _identity_of(self._path) == self._identity
        except FileNotFoundError:
            return False

    def add(self, entries: Iterable[EndedSession]) -> None:
        """Add sessions, all or none of them; those that are there already stay as they are.

        On return they are on disk.
        """
        with self._transaction() as connection:
            for row in map(row_of, entries):
                names = ", ".join(f'"{name}"' for name in row)
                places = ", ".join("?" * len(row))
                connection.execute(
                    f"INSERT OR IGNORE INTO ended ({names}) VALUES ({places})",  # noqa: S608  # names of ours
                    tuple(row.values()),
                )

    def prune(self, ended_us: int, *, most: int) -> None:
        """Remove the sessions that ended before a time, and all but the last `most`.

        The time is in microseconds since 1970.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM ended WHERE ended_us < ?", (ended_us,))
            connection.execute(
                "DELETE FROM ended WHERE number <= (SELECT max(number) FROM ended) - ?", (most,)
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            version_of(connection)  # a newer daemon may have come
            yield connection

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def _open(path: Path) -> sqlite3.Connection:
    # One that exists is never opened here: closing any descriptor of it would let go of SQLite's locks.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    if path.stat().st_mode & _PRIVATE:
        path.chmod(0o600)
    with contextlib.closing(open_read_only(path)) as connection:
        version_of(connection)  # a newer one is not even opened for writing
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a row survives that the power fails
        _check(connection)
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open a history only to read it. Blocks. Raises `sqlite3.Error`."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)


def _check(connection: sqlite3.Connection) -> None:
    """Raise `sqlite3.DatabaseError` for a file that is damaged: 0.1 s for 90,000 sessions."""
    found: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        error = sqlite3.DatabaseError(found)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _set_aside(path: Path) -> Path:
    """Rename a damaged file, with what SQLite keeps beside it; one that was renamed before is replaced."""
    aside = path.with_name(f"{path.name}.damaged")
    for companion in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{companion}").replace(f"{aside}{companion}")
    return aside


def _identity_of(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock on a private directory, made if it is missing: daemons open the file one by one."""
    make_private(folder)
    if folder.stat().st_mode & _PRIVATE:
        folder.chmod(0o700)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
