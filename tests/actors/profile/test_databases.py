"""A hostile database is told as damaged: checking it ends, and does no harm."""

import os
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from greenroom.actors.profile import databases
from greenroom.actors.profile.databases import find_damage

PAGE = 4096
JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound database in a profile."""
    path = tmp_path / "profile" / "x.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE kept (value)")
        database.executemany("INSERT INTO kept VALUES (?)", [(number,) for number in range(5000)])
        database.commit()
    assert find_damage(path.parent) is None
    return path


def test_journal_that_names_another_file_does_not_remove_it(path: Path) -> None:
    """SQLite removes the file that a journal names as that of a change to several databases."""
    other = path.parents[1] / "precious"
    other.write_text("x")
    name = os.fsencode(other)
    header = JOURNAL_MAGIC + struct.pack(">5I", 0, 0, path.stat().st_size // PAGE, 512, PAGE)
    named = struct.pack(">I", (1 << 30) // PAGE + 1) + name + struct.pack(">2I", len(name), sum(name))
    path.with_name("x.sqlite-journal").write_bytes(header.ljust(512, b"\0") + named + JOURNAL_MAGIC)
    assert find_damage(path.parent) == "x.sqlite: its journal names another file"
    assert other.exists()


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("kind", ["FIFO", "link"])
def test_file_beside_a_database_that_is_no_regular_one_is_damage(path: Path, suffix: str, kind: str) -> None:
    """SQLite would wait for a FIFO, and write through a link."""
    beside = path.with_name(path.name + suffix)
    if kind == "FIFO":
        os.mkfifo(beside)
    else:
        beside.symlink_to(path.parents[1] / "elsewhere")
    assert find_damage(path.parent) == f"x.sqlite: {beside.name} is no regular file"
    assert not (path.parents[1] / "elsewhere").exists()


def test_check_that_takes_too_long_is_ended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for it can't be cancelled."""
    monkeypatch.setattr(databases, "_CHECKING_S", 0)
    assert find_damage(path.parent) == "x.sqlite: interrupted"
