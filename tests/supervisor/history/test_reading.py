"""Pages of the history, and figures on it."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.actors.errors import HistoryUnavailable
from greenroom.actors.lifecycle import EndReason
from greenroom.supervisor.history import (
    EndedSession,
    HistoryFilter,
    Outcome,
    Percentiles,
    Position,
)
from greenroom.supervisor.history.file import HistoryFile
from greenroom.supervisor.history.schema import PHASES, VERSION
from tests.supervisor.history.entries import NOON, ended, read_page, read_summary

ALL = HistoryFilter()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


@pytest.fixture
def file(path: Path) -> Iterator[HistoryFile]:
    with contextlib.closing(HistoryFile.open(path)) as opened:
        yield opened


def at(seconds: float) -> datetime:
    """Return a time after noon."""
    return NOON + timedelta(seconds=seconds)


def test_pages_have_each_session_once_while_more_end(path: Path, file: HistoryFile) -> None:
    """Those that end between two pages are on neither, and nothing is skipped, at equal times too."""
    sessions = [ended(ended_at=at(number // 3)) for number in range(10)]
    file.add(sessions)
    seen: list[EndedSession] = []
    after: Position | None = None
    while True:
        page = read_page(path, ALL, after, 3)
        seen += page.sessions
        file.add([ended(ended_at=at(100))])
        if page.after is None:
            break
        after = Position.decode(page.after.encode())
    assert seen == sessions[::-1]
    assert read_page(path, ALL, after, 3).sessions == tuple(seen[-1:])


def test_page_that_has_all_is_the_last(path: Path, file: HistoryFile) -> None:
    """No empty page follows a full one."""
    file.add([ended(), ended()])
    assert read_page(path, ALL, None, 2).after is None
    assert read_page(path, ALL, None, 1).after is not None


@pytest.mark.parametrize(
    "text", ["", "x", "MTIz", "MS4y\n", "é", "Li4", "LTEuMg", "OTk5OTk5OTk5OTk5OTk5OTk5OS4x"]
)
def test_text_that_is_no_position_is_refused(text: str) -> None:
    """With an error that can be shown."""
    with pytest.raises(ValueError, match="no cursor"):
        Position.decode(text)


def test_filter_takes_what_has_all_of_it(path: Path, file: HistoryFile) -> None:
    """Each condition alone, and all together; a time belongs to `since`, not to `until`."""
    wanted = ended(ended_at=at(5), outcome=Outcome.REFUSED, end_reason=EndReason.FAILED, profile="a")
    others = [
        ended(ended_at=at(5), outcome=Outcome.SERVED, end_reason=EndReason.FAILED, profile="a"),
        ended(ended_at=at(5), outcome=Outcome.REFUSED, end_reason=EndReason.IDLE, profile="a"),
        ended(ended_at=at(5), outcome=Outcome.REFUSED, end_reason=EndReason.FAILED, profile="b"),
        ended(ended_at=at(4), outcome=Outcome.REFUSED, end_reason=EndReason.FAILED, profile="a"),
        ended(ended_at=at(6), outcome=Outcome.REFUSED, end_reason=EndReason.FAILED, profile="a"),
    ]
    file.add([wanted, *others])
    every = HistoryFilter(
        outcome=Outcome.REFUSED, end_reason=EndReason.FAILED, profile="a", since=at(5), until=at(6)
    )
    assert read_page(path, every, None, 10).sessions == (wanted,)
    assert read_summary(path, every).total == 1
    for alone, count in (
        (HistoryFilter(outcome=Outcome.REFUSED), 5),
        (HistoryFilter(end_reason=EndReason.FAILED), 5),
        (HistoryFilter(profile="a"), 5),
        (HistoryFilter(since=at(5)), 5),
        (HistoryFilter(until=at(6)), 5),
        (HistoryFilter(profile="' OR 1 --"), 0),
        (HistoryFilter(profiles=("b", "c")), 1),
        (HistoryFilter(profiles=("a", "b")), 6),
        (HistoryFilter(profile="a", profiles=("b",)), 0),
        (HistoryFilter(profiles=()), 0),
    ):
        assert read_summary(path, alone).total == len(read_page(path, alone, None, 10).sessions) == count


def smallest_that_covers(values: list[int], percent: int) -> int:
    """Return the smallest of the values that so many percent of them are not above."""
    return min(
        value for value in values if 100 * sum(other <= value for other in values) >= percent * len(values)
    )


def expected(values: list[int]) -> Percentiles | None:
    if not values:
        return None
    p50, p90, p99 = (smallest_that_covers(values, percent) for percent in (50, 90, 99))
    return Percentiles(count=len(values), p50=p50, p90=p90, p99=p99)


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(0, 20)),
            st.dictionaries(st.sampled_from(PHASES), st.integers(0, 50)),
            st.sampled_from(Outcome),
        ),
        max_size=120,
    )
)
def test_figures_are_those_of_the_definition(
    drawn: list[tuple[int | None, dict[str, int], Outcome]],
) -> None:
    """Percentiles of the creation and of each phase, and counts, as a slow reference has them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "history.sqlite3")
        with contextlib.closing(HistoryFile.open(path)) as file:
            file.add(ended(creation_ms=ms, phase_ms=phases, outcome=out) for ms, phases, out in drawn)
        summary = read_summary(path, ALL)
    assert summary.total == len(drawn)
    assert summary.outcomes == {each: sum(out is each for _, _, out in drawn) for each in Outcome}
    assert summary.creation_ms == expected([ms for ms, _, _ in drawn if ms is not None])
    for phase in PHASES:
        taken = [phases[phase] for _, phases, _ in drawn if phase in phases]
        assert summary.phase_ms.get(phase) == expected(taken)


def test_history_that_is_not_there_yet_is_empty(path: Path) -> None:
    """So is an empty file: the writer may just be making it."""
    for _ in range(2):
        assert read_page(path, ALL, None, 1).sessions == ()
        assert (read_summary(path, ALL).total, read_summary(path, ALL).phase_ms) == (0, {})
        assert not path.exists() or path.stat().st_size == 0
        path.touch()


def test_history_that_can_not_be_read_says_why(path: Path, file: HistoryFile) -> None:
    """It is not changed by that. The path is in no text."""
    file.add([ended()])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE ended SET end_reason = 'of the future'")
        with pytest.raises(HistoryUnavailable, match="does not know"):
            read_page(path, ALL, None, 1)
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        with pytest.raises(HistoryUnavailable, match="newer Greenroom"):
            read_summary(path, ALL)
        connection.execute("PRAGMA user_version = -1")
        with pytest.raises(HistoryUnavailable, match="older Greenroom"):
            read_summary(path, ALL)
    file.close()
    path.write_bytes(b"\xa5" * 4096)
    with pytest.raises(HistoryUnavailable, match="not a database") as caught:
        read_page(path, ALL, None, 1)
    assert str(path) not in str(caught.value)


@pytest.mark.parametrize(
    "change", ["ended_us = 1000000000000000000", "created_us = -9000000000000000000", "ended_us = 'x'"]
)
def test_time_that_can_not_be_is_said(path: Path, file: HistoryFile, change: str) -> None:
    """Whoever may write the file can write any number, or text."""
    file.add([ended()])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE ended SET {change}")  # noqa: S608  # ours
    with pytest.raises(HistoryUnavailable, match="does not know"):
        read_page(path, ALL, None, 1)


def test_phases_have_a_column_each(file: HistoryFile) -> None:
    """A state that is added needs a migration."""
    columns = {row[1] for row in file._connection.execute("PRAGMA table_info(ended)")}
    assert {f"{phase}_ms" for phase in PHASES} == {
        name for name in columns if name.endswith("_ms") and name != "creation_ms"
    }
