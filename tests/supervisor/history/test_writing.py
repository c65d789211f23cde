"""The thread that writes the history, while its file can't be written, and afterwards."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from greenroom.supervisor.history import HistoryFilter, open_history
from greenroom.supervisor.history.file import HistoryFile
from greenroom.supervisor.history.schema import VERSION
from greenroom.supervisor.history.writing import MAX_WAITING, Writer
from tests.patience import patience
from tests.supervisor.history.entries import ended, read_page

STUCK = "the history of ended sessions can't be written; sessions go on, and it is tried again"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "greenroom" / "history.sqlite3"


@contextlib.contextmanager
def writing(path: Path, open_file: Callable[[Path], HistoryFile] = HistoryFile.open) -> Iterator[Writer]:
    """Run a writer that is quick to try again, and close it."""
    writer = Writer(path, 30, open_file, retry_s=0.02)
    writer.start()
    try:
        yield writer
    finally:
        writer.close(patience(10))


def now() -> datetime:
    return datetime.now(UTC)


def ids_in(path: Path) -> list[str]:
    return [session.id for session in read_page(path, HistoryFilter(), None, 100).sessions]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + patience(10)
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def impatient(path: Path) -> HistoryFile:
    """Open a history that does not wait for others that write."""
    file = HistoryFile.open(path)
    file._connection.execute("PRAGMA busy_timeout = 1")
    return file


def test_sessions_wait_while_another_daemon_holds_the_file(path: Path) -> None:
    """Nothing waits but they. There is one line in the log, and one when they are written."""
    with capture_logs() as logs, writing(path, impatient) as writer:
        writer.put(ended(id="before", ended_at=now()))
        wait_for(lambda: ids_in(path) == ["before"])
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            started = time.monotonic()
            for number in range(3):
                writer.put(ended(id=f"{number}", ended_at=now()))
                wait_for(lambda: writer.problem is not None)
            assert time.monotonic() - started < patience(5)
            assert ids_in(path) == ["before"]
            other.execute("ROLLBACK")
        wait_for(lambda: writer.problem is None)
    assert ids_in(path) == ["2", "1", "0", "before"]
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("warning", STUCK),
        ("info", "the history of ended sessions is written again"),
    ]
    assert logs[0]["path"] == str(path)
    assert logs[0]["problem"] == "database is locked"


def test_directory_that_can_not_be_made_stops_nothing(path: Path) -> None:
    """The log says which and why, once; what has waited is written when it can be."""
    path.parent.write_text("in the way")
    with capture_logs() as logs, writing(path) as writer:
        writer.put(ended(id="a", ended_at=now()))
        wait_for(lambda: writer.problem is not None)
        time.sleep(0.1)
        assert [line["event"] for line in logs] == [STUCK]
        path.parent.unlink()
        wait_for(lambda: writer.problem is None)
    assert ids_in(path) == ["a"]


def test_sessions_that_can_not_be_written_at_the_end_are_counted(path: Path) -> None:
    """Only the latest are kept until then."""
    path.parent.write_text("in the way")
    with capture_logs() as logs, writing(path) as writer:
        for _ in range(MAX_WAITING + 5):
            writer.put(ended())
    assert (logs[-1]["event"], logs[-1]["count"]) == (
        "ended sessions are missing in the history: it could not be written in time",
        MAX_WAITING,
    )


def test_newer_file_means_no_history_and_one_line(path: Path) -> None:
    """The file is left as it is."""
    HistoryFile.open(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with capture_logs() as logs, writing(path) as writer:
        for _ in range(3):
            writer.put(ended())
            wait_for(lambda: writer.problem is not None)
    assert path.read_bytes() == before
    [line] = logs
    assert line["event"] == "the daemon runs without a history: install that version"
    assert "newer Greenroom" in line["problem"]


@pytest.mark.parametrize("is_removed", [True, False])
def test_file_that_is_removed_or_damaged_is_made_anew(path: Path, is_removed: bool) -> None:
    """While it is in use, too: by a person, or by another daemon that found it damaged."""
    with capture_logs() as logs, writing(path) as writer:
        writer.put(ended(id="a", ended_at=now()))
        wait_for(lambda: ids_in(path) == ["a"])
        for companion in ("", "-wal", "-shm"):
            Path(f"{path}{companion}").unlink()
        if not is_removed:
            path.write_bytes(b"\xa5" * 4096)
        writer.put(ended(id="b", ended_at=now()))
        damaged = Path(f"{path}.damaged")
        wait_for(lambda: path.exists() and damaged.exists() != is_removed)
        wait_for(lambda: ids_in(path) == ["b"])
    aside = [line.get("aside") for line in logs if line["log_level"] == "warning"]
    assert aside == ([] if is_removed else [f"{path}.damaged"])


def test_session_that_can_not_be_written_costs_no_other(path: Path) -> None:
    """What nobody foresaw is logged with an id."""
    with capture_logs() as logs, writing(path) as writer:
        writer.put(ended(error="\udc80", ended_at=now()))
        wait_for(lambda: logs != [])
        writer.put(ended(id="next", ended_at=now()))
    assert ids_in(path) == ["next"]
    [line] = logs
    assert (line["event"], line["log_level"]) == ("writing the history failed", "error")
    assert line["error_id"]


def test_old_sessions_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file is opened, and every hour after, which is shorter here."""
    with contextlib.closing(HistoryFile.open(path)) as file:
        file.add([ended(id="old", ended_at=now() - timedelta(days=30, seconds=1))])
        file.add([ended(id="new", ended_at=now() - timedelta(days=29))])
    with writing(path) as writer:
        wait_for(lambda: ids_in(path) == ["new"])
        monkeypatch.setattr("greenroom.supervisor.history.writing.PRUNE_S", 0.01)
        writer.put(ended(id="late", ended_at=now() - timedelta(days=31)))
        writer.put(ended(id="last", ended_at=now()))
        wait_for(lambda: "last" in ids_in(path))
        wait_for(lambda: ids_in(path) == ["last", "new"])


def test_many_sessions_are_pruned_before_the_hour_is_over(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that is refused again and again does not fill the disk."""
    monkeypatch.setattr("greenroom.supervisor.history.writing.MAX_KEPT", 3)
    monkeypatch.setattr("greenroom.supervisor.history.writing._PRUNE_EACH", 5)
    with writing(path) as writer:
        for number in range(10):
            writer.put(ended(id=f"{number}", ended_at=now()))
            wait_for(lambda number=number: f"{number}" in ids_in(path) or number < 2)  # type: ignore[misc]
        wait_for(lambda: len(ids_in(path)) <= 3)
        assert ids_in(path)[0] == "9"


def test_sessions_that_wait_for_a_disk_that_hangs_are_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are too many are given up at once, which the log says; giving never blocks."""
    monkeypatch.setattr("greenroom.supervisor.history.writing.MAX_WAITING", 3)
    answers = threading.Event()

    def hang(path: Path) -> HistoryFile:
        answers.wait(patience(10))
        return HistoryFile.open(path)

    with capture_logs() as logs, writing(path, hang) as writer:
        for number in range(5):
            writer.put(ended(id=f"{number}", ended_at=now()))
        assert [line["event"].partition(":")[0] for line in logs] == [
            "ended sessions are missing in the history"
        ] * 2
        answers.set()
    assert ids_in(path) == ["2", "1", "0"]


def test_disk_that_hangs_does_not_keep_the_daemon_from_ending(path: Path) -> None:
    """The log says what that costs."""
    answers = threading.Event()

    def hang(path: Path) -> HistoryFile:
        answers.wait(patience(10))
        return HistoryFile.open(path)

    writer = Writer(path, 30, hang)
    writer.start()
    with capture_logs() as logs:
        writer.put(ended(ended_at=now()))
        writer.close(0.05)
        assert [line["event"].partition(":")[0] for line in logs] == [
            "ended sessions are missing in the history"
        ]
        answers.set()
        writer._thread.join(patience(10))


async def test_history_is_whole_when_the_block_is_left(path: Path) -> None:
    """Cancelled or not."""
    with trio.CancelScope() as scope:
        async with open_history(path, days=30) as history:
            history._writer.put(ended(id="a", ended_at=now()))
            scope.cancel()
    assert ids_in(path) == ["a"]
    assert history.problem is None
