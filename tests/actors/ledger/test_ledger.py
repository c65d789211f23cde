"""A living daemon's ledger: what the daemon owns is on disk first, and removed from the ledger last."""

import errno
import os
import shutil
import stat
import threading
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest
import trio
from structlog.testing import capture_logs

from greenroom.actors.errors import CloneFailed
from greenroom.actors.ledger import Entry, Ledger, OwnedProcess, open_ledger, sweep
from greenroom.actors.ledger import ledger as living
from greenroom.actors.profile import make_private
from tests.actors.ledger.daemons import sleeping
from tests.actors.profile.profile_trees import unprivileged_directory
from tests.patience import patience


def nothing_to_kill(markers: Collection[str]) -> NoReturn:
    """Stand in for the killing of marked processes, for tests that must not search for any."""
    pytest.fail(f"asked to kill {markers}")


def listing(directory: Path) -> list[Path]:
    """Return the names in a directory."""
    return list(directory.iterdir())


def make(path: Path, kind: str) -> None:
    """Make a directory, or a dangling symlink."""
    if kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("nowhere")


def remove(path: Path) -> None:
    """Remove what `make` made."""
    if path.is_symlink():
        path.unlink()
    else:
        path.rmdir()


@asynccontextmanager
async def opened(clones_dir: Path) -> AsyncIterator[Ledger]:
    """Own a ledger with nothing to sweep; it removes itself once all that it owned is gone."""
    async with open_ledger(clones_dir, nothing_to_kill) as ledger:
        yield ledger
    assert listing(clones_dir) == ([ledger.folder] if ledger.entries else [])


def on_disk(ledger: Ledger) -> dict[str, Entry]:
    """Return the entries that a later daemon would read, by file name."""
    return {
        path.name: msgspec.json.decode(path.read_bytes(), type=Entry)
        for path in (ledger.folder / "ledger").iterdir()
    }


async def test_entry_is_on_disk_before_what_it_names_exists(tmp_path: Path) -> None:
    """Whenever a daemon dies later, its ledger already lists what it was about to make."""
    async with opened(tmp_path) as ledger, ledger.hold("a") as entry:
        assert on_disk(ledger) == {"a.json": entry}
        assert (entry.session, entry.marker, entry.processes) == ("a", f"{ledger.owner}.a", ())
        for directory in (Path(entry.clone), Path(entry.scratch)):
            assert directory.parent == ledger.folder
            assert not directory.exists()
        assert ledger.entries == (entry,)


async def test_entry_is_struck_when_its_holder_leaves(tmp_path: Path) -> None:
    """It goes with the workspace that it was made for, and the same session may have another."""
    async with opened(tmp_path) as ledger:
        for _ in range(2):
            async with ledger.hold("a") as entry:
                assert on_disk(ledger) == {"a.json": entry}
            assert (on_disk(ledger), ledger.entries) == ({}, ())


async def test_sessions_have_entries_of_their_own(tmp_path: Path) -> None:
    """Removing one entry leaves the other as it is."""
    async with opened(tmp_path) as ledger, ledger.hold("b") as other:
        async with ledger.hold("a"):
            assert set(on_disk(ledger)) == {"a.json", "b.json"}
        assert on_disk(ledger) == {"b.json": other}


@pytest.mark.parametrize("name", ["clone", "scratch"])
@pytest.mark.parametrize("kind", ["directory", "dangling symlink"])
async def test_directory_that_stays_keeps_its_entry(tmp_path: Path, name: str, kind: str) -> None:
    """What could not be removed stays on record, in memory and on disk, until it is gone."""
    async with opened(tmp_path) as ledger:
        async with ledger.hold("a") as entry:
            left = Path(getattr(entry, name))
            make(left, kind)
        assert on_disk(ledger) == {"a.json": entry}
        assert ledger.entries == (entry,)
        assert ledger.session_directories() == [left]
        remove(left)
        async with ledger.hold("a"):
            pass
        assert on_disk(ledger) == {}


async def test_daemon_that_could_not_remove_all_leaves_its_ledger_to_the_next(tmp_path: Path) -> None:
    """The next daemon on the same directory ends what the last one could not."""
    async with opened(tmp_path) as ledger, ledger.hold("a") as entry:
        make(Path(entry.clone), "directory")
    assert [path.name for path in listing(ledger.folder) if path.name == "a"] == ["a"]
    found: list[str] = []

    def kill_marked(markers: Collection[str]) -> dict[str, list[int]]:
        found.extend(markers)
        return {}

    async with open_ledger(tmp_path, kill_marked) as later:
        assert found == [entry.marker]
        assert listing(tmp_path) == [later.folder]


async def test_entry_is_struck_when_the_holder_is_cancelled(tmp_path: Path) -> None:
    """Cancellation does not interrupt the bookkeeping."""
    async with opened(tmp_path) as ledger:
        with trio.CancelScope() as scope:
            async with ledger.hold("a"):
                scope.cancel(reason="a test")
                await trio.lowlevel.checkpoint()
        assert (on_disk(ledger), ledger.entries) == ({}, ())


async def test_hold_cancelled_while_it_begins_leaves_no_entry(tmp_path: Path) -> None:
    """A session that is cancelled before it owns anything has no entry."""
    async with opened(tmp_path) as ledger:
        with trio.CancelScope() as scope:
            scope.cancel(reason="a test")
            async with ledger.hold("a"):
                await trio.lowlevel.checkpoint()
        assert (on_disk(ledger), ledger.entries) == ({}, ())


async def test_processes_are_added_with_what_tells_them_from_others(tmp_path: Path) -> None:
    """An entry lists a process by pid, start and boot; a process that has already ended is left out."""
    async with opened(tmp_path) as ledger, ledger.hold("a"):
        with sleeping() as one, sleeping() as two:
            two.kill()
            two.wait()
            await ledger.add_processes("a", [one.pid, two.pid])
            await ledger.add_processes("a", [os.getpid()])
            expected = (OwnedProcess.of(one.pid), OwnedProcess.of(os.getpid()))
            (entry,) = ledger.entries
            assert entry.processes == expected
            assert on_disk(ledger) == {"a.json": entry}
            assert OwnedProcess.of(two.pid) is None


@pytest.mark.parametrize("step", ["write_bytes", "rename"])
async def test_write_that_fails_leaves_the_old_entry_whole(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that gets full during a write neither destroys the old entry nor leaves half a new one."""
    real = getattr(Path, step)

    def fail(path: Path, *args: Any) -> None:
        if step == "write_bytes":
            real(path, args[0][:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    async with opened(tmp_path) as ledger, ledger.hold("a") as entry:
        with monkeypatch.context() as patch:
            patch.setattr(Path, step, fail)
            with pytest.raises(CloneFailed) as caught:
                await ledger.add_processes("a", [os.getpid()])
            with pytest.raises(CloneFailed):
                async with ledger.hold("b"):
                    pytest.fail("a session without an entry")
        assert "No space left" in str(caught.value.detail)
        assert on_disk(ledger) == {"a.json": entry}
        assert ledger.entries == (entry,)


async def test_entry_never_seen_half_written(tmp_path: Path) -> None:
    """A concurrent reader finds either the old entry or the new one."""
    async with opened(tmp_path) as ledger, ledger.hold("a") as entry:
        path = ledger.folder / "ledger" / "a.json"

        written = trio.Event()

        async def write() -> None:
            for _ in range(100):
                await ledger.add_processes("a", [os.getpid()])
            written.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            while not written.is_set():
                found = msgspec.json.decode(path.read_bytes(), type=Entry)
                assert (found.session, found.marker) == (entry.session, entry.marker)
                await trio.lowlevel.checkpoint()
        assert len(ledger.entries[0].processes) == 100


async def test_ledger_is_private_to_its_owner(tmp_path: Path) -> None:
    """Other users can neither list the sessions nor read the clones, whatever the umask is."""
    async with opened(tmp_path / "state" / "clones") as ledger:
        for directory in (tmp_path / "state" / "clones", ledger.folder, ledger.folder / "ledger"):
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700


async def test_ledgers_of_one_process_keep_apart(tmp_path: Path) -> None:
    """Two supervisors in one process have two owners; neither sweeps the other."""
    async with (
        open_ledger(tmp_path / "x", nothing_to_kill) as one,
        open_ledger(tmp_path / "x", nothing_to_kill) as two,
        one.hold("a") as entry,
        two.hold("a") as other,
    ):
        assert entry.marker != other.marker
        assert len({entry.clone, entry.scratch, other.clone, other.scratch}) == 4
    assert listing(tmp_path / "x") == []


def test_unwritable_clones_directory_is_clone_failed() -> None:
    """The error names a directory that can't be written or made; no other is tried instead."""

    async def open_in(clones_dir: Path) -> None:
        async with open_ledger(clones_dir, nothing_to_kill):
            pytest.fail("there is a ledger")

    with unprivileged_directory() as directory:
        locked = directory / "locked"
        locked.mkdir(0o500)
        for clones_dir in (locked, locked / "inner"):
            with pytest.raises(CloneFailed, match="can't be used") as caught:
                trio.run(open_in, clones_dir)
            assert "Permission denied" in str(caught.value.detail)
            assert "/" not in str(caught.value)
        locked.chmod(0o700)
        assert list(locked.iterdir()) == []


async def test_clones_directory_that_is_a_file_is_clone_failed(tmp_path: Path) -> None:
    """An existing file in the directory's place is not touched."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CloneFailed):
        async with open_ledger(tmp_path / "file", nothing_to_kill):
            pytest.fail("there is a ledger")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o377], ids=oct)
async def test_missing_directories_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Missing parents of the clones directory are private too, so that nobody else can put anything there."""
    before = os.umask(umask)
    try:
        make_private(tmp_path / "one" / "two" / "clones")
    finally:
        os.umask(before)
    for directory in ("one", "one/two", "one/two/clones"):
        assert stat.S_IMODE((tmp_path / directory).stat().st_mode) == 0o700


@pytest.mark.parametrize(("mode", "warned"), [(0o777, True), (0o770, True), (0o1777, False), (0o755, False)])
async def test_clones_directory_that_others_can_write_to_is_warned_of(
    tmp_path: Path, mode: int, warned: bool
) -> None:
    """Without a sticky bit, others could remove what is in the directory."""
    os.chmod(tmp_path, mode)  # noqa: PTH101  # ruff takes the other for blocking, this for none
    with capture_logs() as logs:
        async with opened(tmp_path):
            pass
    assert [line["log_level"] for line in logs] == ["warning"] * warned


@pytest.mark.parametrize("what", ["clones", "owner", "ledger", "lock"])
async def test_ledger_removed_under_its_daemon_is_recreated(tmp_path: Path, what: str) -> None:
    """Sessions can still be created and listed, earlier ones have entries again, and the log says so."""
    async with open_ledger(tmp_path / "clones", nothing_to_kill) as ledger, ledger.hold("a") as entry:
        match what:
            case "clones":
                shutil.rmtree(tmp_path / "clones")
            case "owner":
                shutil.rmtree(ledger.folder)
            case "ledger":
                shutil.rmtree(ledger.folder / "ledger")
            case _:
                (ledger.folder / "owner.lock").unlink()
        with capture_logs() as logs:
            async with ledger.hold("b") as other:
                assert on_disk(ledger) == {"a.json": entry, "b.json": other}
                assert await ledger.problem() is None
        assert [line["event"] for line in logs] == ["the ledger was removed under this daemon; recreated it"]
        assert sweep(tmp_path / "clones", nothing_to_kill) == 0  # it is locked again
    assert listing(tmp_path / "clones") == []


async def test_ledger_that_cant_be_recreated_is_a_health_problem(tmp_path: Path) -> None:
    """Whatever is in the way is left alone, and sessions are refused until it is gone."""
    clones_dir = tmp_path / "clones"
    async with open_ledger(clones_dir, nothing_to_kill) as ledger:
        assert await ledger.problem() is None
        shutil.rmtree(clones_dir)
        assert ledger.session_directories() == []
        clones_dir.write_text("mine")
        problem = await ledger.problem()
        assert problem == "The clones directory is gone, and can't be recreated: Not a directory"
        with pytest.raises(CloneFailed, match="is gone"):
            async with ledger.hold("a"):
                pytest.fail("a session without an entry")
        assert clones_dir.read_text() == "mine"
        clones_dir.unlink()
        assert await ledger.problem() is None
    assert listing(clones_dir) == []


def test_unwritable_clones_directory_is_a_health_problem() -> None:
    """A disk that was remounted read-only has no room for sessions."""

    async def look(clones_dir: Path) -> None:
        async with open_ledger(clones_dir, nothing_to_kill) as ledger:
            ledger.folder.chmod(0o500)
            assert await ledger.problem() == "The clones directory can't be written"
            ledger.folder.chmod(0o700)
            assert await ledger.problem() is None

    with unprivileged_directory() as directory:
        trio.run(look, directory / "clones")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's directory")
async def test_directory_that_another_put_in_its_place_is_not_used(tmp_path: Path) -> None:
    """If others can write to the clones directory, they get no clone: no entry means no session."""
    async with open_ledger(tmp_path, nothing_to_kill) as ledger:
        ledger.folder.rename(tmp_path / "taken")
        ledger.folder.mkdir()
        os.chown(ledger.folder, 65534, 65534)
        with pytest.raises(CloneFailed):
            async with ledger.hold("a"):
                pytest.fail("a session in another's directory")
    assert ledger.folder.exists()


@pytest.mark.parametrize("longer", [0, 1])
@pytest.mark.parametrize("letter", ["a", "\u00e4"], ids=["ascii", "two bytes"])
async def test_path_too_long_for_a_browser_is_refused_at_once(
    tmp_path: Path, letter: str, longer: int
) -> None:
    """The refusal names the limit in bytes; a path of exactly that length is accepted."""
    allowed = 346
    clones_dir = tmp_path
    while (rest := allowed + longer - len(os.fsencode(clones_dir))) > 0:
        name = "x" * rest if rest < 50 else letter * 20
        clones_dir /= name[: rest - 1] or "x"
    assert len(os.fsencode(clones_dir)) == allowed + longer
    if longer:
        with pytest.raises(CloneFailed, match=r"a path of 347 bytes, and the limit is 346") as caught:
            async with open_ledger(clones_dir, nothing_to_kill):
                pytest.fail("there is a ledger")
        assert "/" not in str(caught.value)
    else:
        async with opened(clones_dir):
            pass
    assert clones_dir.exists() == (not longer)


async def test_disk_that_hangs_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an entry nor the end waits for the disk; entries that could not be removed stay on record."""
    recovers = threading.Event()
    monkeypatch.setattr(living, "_STEP_S", 0.05)
    try:
        async with open_ledger(tmp_path, nothing_to_kill) as ledger:
            with trio.fail_after(patience(5)):
                async with ledger.hold("a"):
                    monkeypatch.setattr(living, "is_gone", lambda _: recovers.wait(10))
                assert [entry.session for entry in ledger.entries] == ["a"]
                monkeypatch.setattr(living, "write_entry", lambda *_: recovers.wait(10))
                with pytest.raises(CloneFailed, match="in time"):
                    async with ledger.hold("b"):
                        pytest.fail("a session without an entry")
                monkeypatch.setattr(Ledger, "_restore", lambda _: recovers.wait(10))
                assert await ledger.problem() == "The clones directory does not answer in time"
    finally:
        recovers.set()
