"""What a daemon owns, seen on the machine itself: everything of its own, and nothing of anybody else's."""

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
    """A ledger without entries."""
    async with open_ledger(tmp_path / "state", end_marked) as ledger:
        yield ledger


def make(path: str | Path, size: int = 10_000) -> int:
    """Make a directory with a file of `size` bytes in it; return the size on disk."""
    Path(path).mkdir()
    Path(path, "file").write_bytes(b"x" * size)
    return disk_usage(Path(path))


async def test_fresh_ledger_owns_nothing(ledger: Ledger) -> None:
    """The ledger's own files don't belong to a session."""
    assert await survey(ledger, Sampler()) == NOTHING


async def test_session_is_seen_with_everything_it_has(ledger: Ledger) -> None:
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


async def test_things_without_an_entry_are_seen_too(ledger: Ledger) -> None:
    """The survey looks at the machine, not at the daemon's memory. That is how a leak shows."""
    folder = ledger.folder / "forgotten"
    size = make(folder)
    with sleeping(f"{ledger.owner}.lost") as process:
        owned = await survey(ledger, Sampler())
    assert owned == Owned(
        processes=(OwnedProcess(pid=process.pid, name="sleep", session="lost"),),
        directories=(OwnedDirectory(name="forgotten", session="forgotten", bytes=size),),
    )


async def test_things_of_others_are_not_seen(ledger: Ledger, tmp_path: Path) -> None:
    """Other supervisors in this process, other daemons, and the user's own processes are left out."""
    similar = f"{ledger.owner}0.a"
    async with open_ledger(tmp_path / "state", end_marked) as other, other.hold("a") as entry:
        make(entry.clone)
        with sleeping(entry.marker), sleeping(similar), sleeping(), open_daemon(tmp_path / "state"):
            assert await survey(ledger, Sampler()) == NOTHING
            assert len((await survey(other, Sampler())).processes) == 1
        shutil.rmtree(entry.clone)


async def test_dead_process_is_not_seen(ledger: Ledger) -> None:
    """A zombie holds nothing that could be owned."""
    with sleeping(f"{ledger.owner}.a") as process:
        process.kill()
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        assert await survey(ledger, Sampler()) == NOTHING


async def test_removed_folder_holds_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """A survey of a removed folder finds nothing and raises nothing."""
    async with ledger.hold("a"):
        shutil.rmtree(tmp_path / "state")
        assert await survey(ledger, Sampler()) == Owned(entries=("a",))


async def test_disk_that_hangs_ends_the_survey(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The survey has a time limit, so the daemon's end has one too."""
    disk_recovers = threading.Event()
    monkeypatch.setattr("greenroom.actors.machine.survey._SURVEY_S", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "session_directories", lambda _: disk_recovers.wait(10))
        try:
            with trio.fail_after(patience(5)), pytest.raises(trio.TooSlowError):
                await survey(ledger, Sampler())
        finally:
            disk_recovers.set()
