"""The history's file: opened, migrated, damaged, killed, and shared by several daemons."""

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from greenroom.supervisor.history import HistoryFilter, schema
from greenroom.supervisor.history.file import HistoryFile
from greenroom.supervisor.history.filters import to_us
from greenroom.supervisor.history.schema import VERSION, NewerSchema
from tests.patience import patience
from tests.supervisor.history.entries import FULL, NOON, ended, read_page

SCHEMAS = Path(__file__).parent / "schemas"
ALL = HistoryFilter()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "greenroom" / "history.sqlite3"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def ids_in(path: Path) -> list[str]:
    """Return the ids of all sessions in a file, the last to end first."""
    return [session.id for session in read_page(path, ALL, None, 100_000).sessions]


def check_integrity(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_what_is_added_comes_back_whole(path: Path) -> None:
    """Each field of it, from a file and a directory that only their owner can read."""
    with contextlib.closing(HistoryFile.open(path)) as file:
        plain = ended(ended_at=NOON)
        file.add([FULL, plain])
        file.add([attrs.evolve(FULL, profile="other")])  # once more, as after a doubtful commit
        assert read_page(path, ALL, None, 10).sessions == (FULL, plain)
        assert mode_of(path.parent) == 0o700
        assert {mode_of(each) for each in path.parent.iterdir()} == {0o600}


def test_file_that_others_could_read_becomes_private(path: Path) -> None:
    """So does its directory."""
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o755)
    path.touch(0o644)
    HistoryFile.open(path).close()
    assert (mode_of(path.parent), mode_of(path)) == (0o700, 0o600)


def test_old_sessions_are_removed(path: Path) -> None:
    """Those that ended before a moment, and those that are too many; the last stay."""
    with contextlib.closing(HistoryFile.open(path)) as file:
        old, new = ended(ended_at=NOON - timedelta(microseconds=1)), ended(ended_at=NOON)
        file.add([old, new])
        file.prune(to_us(NOON), most=2)
        assert ids_in(path) == [new.id]
        more = [ended(ended_at=NOON + timedelta(seconds=number)) for number in range(3)]
        file.add(more)
        file.prune(to_us(NOON), most=2)
        assert ids_in(path) == [more[2].id, more[1].id]


def test_full_disk_adds_nothing_and_leaves_the_file_whole(path: Path) -> None:
    """SQLite's own limit stands for the disk's. All that is given at once is added, or nothing."""
    with contextlib.closing(HistoryFile.open(path)) as file:
        file.add([FULL])
        pages = file._connection.execute("PRAGMA page_count").fetchone()[0]
        file._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            file.add([ended() for _ in range(200)])
        assert ids_in(path) == [FULL.id]
        file._connection.execute("PRAGMA max_page_count = 10000")
        file.add([ended()])
        assert len(ids_in(path)) == 2
    check_integrity(path)


# Schemas


def test_each_earlier_schema_has_a_stored_file() -> None:
    """And so has today's, which is an earlier one tomorrow."""
    assert sorted(stored.stem for stored in SCHEMAS.iterdir()) == [str(n + 1) for n in range(VERSION)]


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_stored_file_of_each_version_is_brought_up_to_date(path: Path, version: int) -> None:
    """Its session can be read, and its tables are those of a new file."""
    path.parent.mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript((SCHEMAS / f"{version}.sql").read_text())
    with contextlib.closing(HistoryFile.open(path)) as file:
        file.add([ended()])
        assert set(ids_in(path)) > {"full"}
        tables = file._connection.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall()
    fresh = path.with_name("fresh.sqlite3")
    with contextlib.closing(HistoryFile.open(fresh)) as file:
        assert tables == file._connection.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall()


def test_next_version_keeps_what_there_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration is all or nothing: one that fails leaves the old version."""
    HistoryFile.open(path).close()
    bad = (*schema._MIGRATIONS, ("ALTER TABLE ended ADD COLUMN note TEXT", "nonsense"))
    monkeypatch.setattr(schema, "_MIGRATIONS", bad)
    monkeypatch.setattr(schema, "VERSION", VERSION + 1)
    with pytest.raises(sqlite3.OperationalError, match="nonsense"):
        HistoryFile.open(path)
    monkeypatch.setattr(schema, "_MIGRATIONS", (*bad[:-1], bad[-1][:1]))
    with contextlib.closing(HistoryFile.open(path)) as file:
        file.add([FULL])
        assert file._connection.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
        assert file._connection.execute("SELECT id, note FROM ended").fetchall() == [("full", None)]


def test_file_of_a_newer_version_is_left_untouched(path: Path) -> None:
    """Neither opening it nor writing to one that has become newer meanwhile changes a byte."""
    with contextlib.closing(HistoryFile.open(path)) as file:
        with contextlib.closing(sqlite3.connect(path)) as newer:
            newer.execute(f"PRAGMA user_version = {VERSION + 1}")
        with pytest.raises(NewerSchema, match=f"its schema is {VERSION + 1}"):
            file.add([FULL])
        with pytest.raises(NewerSchema):
            file.prune(to_us(NOON), most=1)
    before = path.read_bytes()
    with pytest.raises(NewerSchema):
        HistoryFile.open(path)
    assert path.read_bytes() == before


# Damage


@pytest.mark.parametrize("place", [0, 4096])
def test_damaged_file_is_put_aside_and_begun_anew(path: Path, place: int) -> None:
    """In its header, or in a table. What was damaged before is replaced, so this can't fill the disk."""
    for _ in range(2):
        with contextlib.closing(HistoryFile.open(path)) as file:
            file.add([ended() for _ in range(50)])
        content = bytearray(path.read_bytes())
        content[place : place + 2048] = b"\xa5" * 2048
        path.write_bytes(content)
        with contextlib.closing(HistoryFile.open(path)) as file:
            assert file.aside == path.with_name("history.sqlite3.damaged")
            assert file.aside.read_bytes() == content
            file.add([FULL])
            assert ids_in(path) == ["full"]
    assert {mode_of(each) for each in path.parent.iterdir()} == {0o600}


def test_file_that_was_renamed_is_not_current(path: Path) -> None:
    """As by another daemon that found it damaged."""
    with contextlib.closing(HistoryFile.open(path)) as file:
        states = [file.is_current]
        path.rename(path.with_name("aside"))
        states.append(file.is_current)
        path.touch()
        states.append(file.is_current)
    assert states == [True, False, False]


# Several processes


def start_ending_sessions(path: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.supervisor.history.killed", str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_history_survives_kill_of_its_writers(path: Path) -> None:
    """Two programs end sessions at once. Each is on disk soon, and stays when both are killed."""
    known: set[str] = set()
    running = [start_ending_sessions(path) for _ in range(2)]
    try:
        for number in range(40):
            source = running[number % 2].stdout
            assert source is not None
            line = source.readline().strip()
            assert line
            known.add(line)
        deadline = time.monotonic() + patience(5)
        while not known <= set(ids_in(path)):
            assert time.monotonic() < deadline
    finally:
        for process in running:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
    assert known <= set(ids_in(path))
    with contextlib.closing(HistoryFile.open(path)) as file:
        assert file.aside is None
    assert known <= set(ids_in(path))
    check_integrity(path)
