"""Databases are read as of their last commit, also while a browser writes to them, and hostile ones."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.profile import sqlite
from greenroom.actors.profile.sqlite import UNREADABLE, open_in_memory

MAX_BYTES = 1 << 20


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A browser that has a database open, with something that is only in its log."""
    with closing(sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE kept (value)")
        database.execute("INSERT INTO kept VALUES ('new')")
        yield database


def read(path: Path) -> list[str]:
    with open_in_memory(path, table="kept", max_bytes=MAX_BYTES) as database:
        assert database is not None
        return [value for (value,) in database.execute("SELECT value FROM kept")]


def test_database_that_a_browser_has_open_is_read_with_its_log(
    tmp_path: Path, browser: sqlite3.Connection
) -> None:
    """And left as it is."""
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert read(tmp_path / "x.sqlite") == ["new"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_database_whose_log_is_emptied_while_it_is_read_is_read_again(
    tmp_path: Path, browser: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise what was moved from the log into the database, behind the reader's back, would be missing."""
    committed_pages = sqlite._committed_pages
    moves = iter([True])

    def move_first(*asked: Any) -> Iterator[tuple[int, bytes]]:
        if next(moves, False):
            browser.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return committed_pages(*asked)

    monkeypatch.setattr(sqlite, "_committed_pages", move_first)
    assert read(tmp_path / "x.sqlite") == ["new"]


def test_database_that_changes_all_the_time_is_not_guessed_at(
    tmp_path: Path, browser: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error, after some tries."""
    committed_pages = sqlite._committed_pages

    def write_first(*asked: Any) -> Iterator[tuple[int, bytes]]:
        browser.execute("INSERT INTO kept VALUES ('more')")
        return committed_pages(*asked)

    monkeypatch.setattr(sqlite, "_committed_pages", write_first)
    monkeypatch.setattr(sqlite, "_PAUSE_S", 0)
    with pytest.raises(UNREADABLE, match="changes all the time"):
        read(tmp_path / "x.sqlite")


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS value FROM n"
SLOW = "instr(zeroblob(900000000), zeroblob(400000000) || 'x')"


def write_database(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    return path


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (f"CREATE VIEW kept AS {ENDLESS}", "no table"),
        ("CREATE VIRTUAL TABLE kept USING fts4(value)", "no table"),
        ("CREATE TABLE kept (seed, value AS (seed + 1))", "computed"),
        (f"CREATE TABLE kept (seed, value AS ({SLOW}))", "too many arguments"),
        (f"CREATE TABLE kept (value, CHECK ({SLOW}))", "too many arguments"),
    ],
    ids=["view", "virtual", "computed", "slow column", "slow check"],
)
def test_table_that_is_computed_is_not_read(tmp_path: Path, schema: str, reason: str) -> None:
    """What a query of it does is up to whoever has written it: it may never end."""
    path = write_database(tmp_path / "x.sqlite", schema)
    with pytest.raises(UNREADABLE, match=reason):
        read(path)


def test_query_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one of a table that is one."""
    path = write_database(tmp_path / "x.sqlite", "CREATE TABLE kept (value)")
    monkeypatch.setattr(sqlite, "_READING_S", 0.05)
    with open_in_memory(path, table="kept", max_bytes=MAX_BYTES) as database:
        assert database is not None
        with pytest.raises(UNREADABLE, match="interrupted"):
            database.execute(f"{ENDLESS} WHERE x < 0").fetchall()


@pytest.mark.parametrize("suffix", ["", "-wal", "-journal"])
def test_file_that_is_no_regular_one_is_not_waited_for(tmp_path: Path, suffix: str) -> None:
    """A FIFO that nobody writes to would keep its reader for good."""
    path = write_database(tmp_path / "x.sqlite", "CREATE TABLE kept (value)")
    fifo = Path(f"{path}{suffix}")
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo)
    with pytest.raises(UNREADABLE, match="no regular file"):
        read(path)


def test_log_that_is_too_large_is_not_read_to_its_end(tmp_path: Path, browser: sqlite3.Connection) -> None:
    """Neither behind its last commit, nor up to one that is too far away."""
    log = tmp_path / "x.sqlite-wal"
    size = log.stat().st_size
    os.truncate(log, 1 << 40)
    assert read(tmp_path / "x.sqlite") == ["new"]
    os.truncate(log, size)
    with log.open("r+b") as file:
        header = file.read(32)
        file.seek(0, os.SEEK_END)
        frame = (2).to_bytes(4, "big") + bytes(4) + header[16:24] + bytes(8 + 4096)
        file.write(frame * (MAX_BYTES // len(frame) + 1))
    with pytest.raises(UNREADABLE, match="log of more than"):
        read(tmp_path / "x.sqlite")


@pytest.mark.parametrize("page_size", [0, 3, 513])
def test_page_size_that_sqlite_does_not_have_is_refused(tmp_path: Path, page_size: int) -> None:
    """Its log would have frames without end."""
    path = write_database(tmp_path / "x.sqlite", "CREATE TABLE kept (value)")
    with path.open("r+b") as file:
        file.seek(16)
        file.write(page_size.to_bytes(2, "big"))
    with pytest.raises(UNREADABLE, match=f"pages of {page_size} bytes"):
        read(path)
