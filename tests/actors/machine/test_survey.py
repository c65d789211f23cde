"""What a daemon owns, as it can be seen on the machine: its own, all of it, and nobody else's."""

import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import trio

from greenroom.actors.browser.cells.marks import end_marked
from greenroom.actors.ledger import Ledger, open_ledger
from greenroom.actors.machine.ports import Owned, OwnedDirectory, OwnedProcess
from greenroom.actors.machine.sampler import Sampler
from greenroom.actors.machine.survey import survey
from greenroom.actors.resources import disk_usage
from tests.actors.ledger.daemons import open_daemon, sleeping
from tests.patience import patience

NOTHING = Owned()


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """A ledger in which nothing is listed yet."""
    async with open_ledger(tmp_path / "state", end_marked) as ledger:
        yield ledger


def make(path: str | Path, size: int = 10_000) -> int:
    """Make a directory with a file of `size` bytes in it, and return what it takes on disk."""
    Path(path).mkdir()
    Path(path, "file").write_bytes(b"x" * size)
    return disk_usage(Path(path))


async def test_fresh_ledger_owns_nothing(ledger: Ledger) -> None:
    """The ledger's own files are no session's."""
    assert await survey(ledger, Sampler()) == NOTHING


async def test_session_is_seen_with_all_it_has(ledger: Ledger) -> None:
    """Its entry, its directories with their sizes, and its processes with their names."""
    async with ledger.hold("a") as entry:
        clone, scratch = make(entry.clone), make(entry.scratch, 0)
        with sleeping(entry.marker) as process:
            owned = await survey(ledger, Sampler())
        assert owned.entries == ("a",)
        assert owned.processes == (OwnedProcess(pid=process.pid, name="sleep", session="a"),)
        assert sorted(owned.directories, key=lambda item: item.name) == [
            OwnedDirectory(name="a", session="a", bytes=clone),
            OwnedDirectory(name="a.tmp", session="a", bytes=scratch),
        ]
        assert clone >= 10_000
        for path in (entry.clone, entry.scratch):
            shutil.rmtree(path)
    assert await survey(ledger, Sampler()) == NOTHING


async def test_what_no_entry_lists_is_seen_all_the_same(ledger: Ledger) -> None:
    """The machine is looked at, not the daemon's memory: that is how a leak would show."""
    folder = ledger.folder / "forgotten"
    size = make(folder)
    with sleeping(f"{ledger.owner}.lost") as process:
        owned = await survey(ledger, Sampler())
    assert owned == Owned(
        processes=(OwnedProcess(pid=process.pid, name="sleep", session="lost"),),
        directories=(OwnedDirectory(name="forgotten", session="forgotten", bytes=size),),
    )


async def test_what_is_anothers_is_not_seen(ledger: Ledger, tmp_path: Path) -> None:
    """Another supervisor of this process, another daemon, and processes of the user's own are left out."""
    similar = f"{ledger.owner}0.a"
    async with open_ledger(tmp_path / "state", end_marked) as other, other.hold("a") as entry:
        make(entry.clone)
        with sleeping(entry.marker), sleeping(similar), sleeping(), open_daemon(tmp_path / "state"):
            assert await survey(ledger, Sampler()) == NOTHING
            assert len((await survey(other, Sampler())).processes) == 1
        shutil.rmtree(entry.clone)


async def test_dead_process_is_not_seen(ledger: Ledger) -> None:
    """A zombie has nothing any more that could be owned."""
    with sleeping(f"{ledger.owner}.a") as process:
        process.kill()
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        assert await survey(ledger, Sampler()) == NOTHING


async def test_folder_that_is_gone_holds_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """A survey of what somebody has removed finds nothing, and is no error."""
    async with ledger.hold("a"):
        shutil.rmtree(tmp_path / "state")
        assert await survey(ledger, Sampler()) == Owned(entries=("a",))


async def test_disk_that_hangs_ends_the_survey(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever, and so the daemon's end does not, either."""
    disk_recovers = threading.Event()
    monkeypatch.setattr("greenroom.actors.machine.survey._SURVEY_S", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "session_directories", lambda _: disk_recovers.wait(10))
        try:
            with trio.fail_after(patience(5)), pytest.raises(trio.TooSlowError):
                await survey(ledger, Sampler())
        finally:
            disk_recovers.set()
