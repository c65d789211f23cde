"""A history that many read."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio

from greenroom.supervisor.history import HistoryFilter, Page, Position, Summary, reader
from greenroom.supervisor.history.file import HistoryFile
from greenroom.supervisor.history.reader import Reader
from greenroom.supervisor.history.reading import read_history
from tests.patience import patience
from tests.supervisor.history.entries import ended

ALL = HistoryFilter()


class History:
    """A history whose figures take so much CPU time, and which counts how often they are made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = HistoryFile.open(path)
        self.takes_s = 60.0
        self.spent_s = 0.0
        self.count = self.at_once = self.most_at_once = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.reader = Reader(path, lambda: self.spent_s)

    def read_whole(
        self, path: Path, wanted: HistoryFilter, after: Position | None, limit: int
    ) -> tuple[Page, Summary]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        assert self.may_go_on.wait(patience(10))
        self.count += 1
        self.spent_s += self.takes_s
        found = read_history(path, wanted, after, limit)
        self.at_once -= 1
        return found

    async def totals(self, wanted: HistoryFilter = ALL) -> tuple[int, int]:
        """Return how many sessions there are by the page, and by the figures."""
        page, summary = await self.reader.read(wanted, None, 50)
        return len(page.sessions), summary.total


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    history = History(tmp_path / "history.sqlite3")
    monkeypatch.setattr(reader, "read_history", history.read_whole)
    with closing(history.file):
        history.file.add([ended(profile="a")])
        yield history


async def test_figures_that_many_ask_for_are_made_once(history: History) -> None:
    """Each filter has its own. Pages are read anew."""
    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(history.totals)
    assert history.count == 1
    history.file.add([ended(profile="b")])
    assert await history.totals(HistoryFilter(profile="a")) == (1, 1)
    assert history.count == 2
    assert await history.totals() == (2, 1)


async def test_one_thread_reads_at_a_time(history: History) -> None:
    """Also if whoever asked does not wait for it."""
    history.may_go_on.clear()
    for name in "abc":
        with trio.move_on_after(0.01):
            await history.totals(HistoryFilter(profile=name))
    history.may_go_on.set()
    await history.totals()
    assert history.most_at_once == 1


@pytest.mark.parametrize("takes_s", [0.001, 0.1])
async def test_figures_are_made_anew_after_a_while(
    history: History, takes_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once if they take little, and then of the page's moment; otherwise after ten times as long."""
    now = 1000.0
    monkeypatch.setattr("greenroom.supervisor.history.reader.time.monotonic", lambda: now)
    history.takes_s = takes_s
    assert await history.totals() == (1, 1)
    history.file.add([ended()])
    assert await history.totals() == (2, 2 if takes_s < 0.05 else 1)
    now += 10 * takes_s
    assert await history.totals() == (2, 2)


async def test_figures_of_few_filters_are_kept(history: History) -> None:
    """A client that asks for ever others does not fill the memory. Those asked for lately stay."""
    for number in range(80):
        await history.totals(HistoryFilter(profile=str(number)))
        await history.totals()
    assert history.count == 81
    assert len(history.reader._kept) == 64
