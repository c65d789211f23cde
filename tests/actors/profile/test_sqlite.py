"""Databases are read as of their last commit, also while a browser writes to them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

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
    with open_in_memory(path, max_bytes=MAX_BYTES) as database:
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

    def move_first(path: Path, page_size: int) -> Iterator[tuple[int, bytes]]:
        if next(moves, False):
            browser.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return committed_pages(path, page_size)

    monkeypatch.setattr(sqlite, "_committed_pages", move_first)
    assert read(tmp_path / "x.sqlite") == ["new"]


def test_database_that_changes_all_the_time_is_not_guessed_at(
    tmp_path: Path, browser: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error, after some tries."""
    committed_pages = sqlite._committed_pages

    def write_first(path: Path, page_size: int) -> Iterator[tuple[int, bytes]]:
        browser.execute("INSERT INTO kept VALUES ('more')")
        return committed_pages(path, page_size)

    monkeypatch.setattr(sqlite, "_committed_pages", write_first)
    monkeypatch.setattr(sqlite, "_PAUSE_S", 0)
    with pytest.raises(UNREADABLE, match="changes all the time"):
        read(tmp_path / "x.sqlite")
