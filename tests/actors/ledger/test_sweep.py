"""A sweep ends what a dead daemon's ledger lists, here with real processes, and touches nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NoReturn

import filelock
import msgspec
import psutil
import pytest
import trio
from structlog.testing import capture_logs

from greenroom.actors.browser.cells.marks import end_marked
from greenroom.actors.ledger import Entry, OwnedProcess, open_ledger, sweep
from greenroom.actors.ledger.sweep import KillMarked
from tests.actors.ledger.daemons import is_running, open_daemon, sleeping
from tests.actors.profile.profile_trees import make_profile, snapshot, unprivileged_directory
from tests.patience import patience


def dead_ledger(clones_dir: Path, owner: str = "dead-1") -> Path:
    """Make a dead daemon's directory: nobody holds its lock file."""
    folder = clones_dir / owner
    (folder / "ledger").mkdir(parents=True)
    (folder / "owner.lock").touch()
    return folder


def listing(directory: Path) -> list[Path]:
    """Return the names in a directory."""
    return list(directory.iterdir())


def test_hosts_are_ended_before_what_they_could_start(tmp_path: Path) -> None:
    """Ending a browser is useless while its host can still start it again."""
    folder = dead_ledger(tmp_path)
    for session in ("0", "host-1", "z"):
        write_entry(folder, session)
    asked: list[list[str]] = []

    def note(markers: Collection[str]) -> dict[str, list[int]]:
        asked.append([marker.rpartition(".")[2] for marker in markers])
        return {}

    assert sweep(tmp_path, note) == 1
    assert asked == [["host-1"], ["0", "z"]]


def write_entry(folder: Path, session: str = "a", **changes: Any) -> Entry:
    """Put an entry into a dead daemon's ledger."""
    fields: dict[str, Any] = {
        "session": session,
        "clone": str(folder / session),
        "scratch": str(folder / f"{session}.tmp"),
        "marker": f"{folder.name}.{session}",
    }
    entry = Entry(**(fields | changes))
    (folder / "ledger" / f"{session}.json").write_bytes(msgspec.json.encode(entry))
    return entry


def listing_in(found: list[str]) -> KillMarked:
    """Return a stand-in for the killing of marked processes, which appends their markers to `found`."""

    def kill_marked(markers: Collection[str]) -> dict[str, list[int]]:
        found.extend(markers)
        return {}

    return kill_marked


def end_nothing(markers: Collection[str]) -> NoReturn:
    """Fail: nothing is to be ended here."""
    pytest.fail(f"to be ended: {markers}")


async def test_dead_daemons_processes_and_directories_are_ended(tmp_path: Path) -> None:
    """What a killed daemon owned is gone before the next daemon takes a session."""
    with open_daemon(tmp_path) as dead:
        dead.kill()
        assert dead.running() == [True, True]
        assert sorted(path.name for path in dead.folder.iterdir()) == ["a", "a.tmp", "ledger", "owner.lock"]
        async with open_ledger(tmp_path, end_marked) as ledger:
            assert dead.running() == [False, False]
            assert listing(tmp_path) == [ledger.folder]
    assert listing(tmp_path) == []


def test_listed_process_without_its_marker_is_ended(tmp_path: Path) -> None:
    """A sandbox that cleared its environment is recognized by its pid and start."""
    folder = dead_ledger(tmp_path)
    with sleeping() as process:
        found = OwnedProcess.of(process.pid)
        assert found is not None
        write_entry(folder, processes=(found,))
        sweep(tmp_path, end_marked)
        assert process.wait(patience(5)) == -9
    assert listing(tmp_path) == []


async def test_living_daemon_is_not_touched(tmp_path: Path) -> None:
    """A held lock proves that its owner lives, and protects everything that it owns."""
    with open_daemon(tmp_path) as living:
        before = snapshot(living.folder)
        async with open_ledger(tmp_path, end_marked):
            assert living.running() == [True, True]
        assert snapshot(living.folder) == before
        assert listing(tmp_path) == [living.folder]
        assert sweep(tmp_path, end_marked) == 0


async def test_what_is_no_ledger_is_not_touched(tmp_path: Path) -> None:
    """Other directories and files next to the ledgers stay as they are."""
    clones_dir = tmp_path / "state"
    (clones_dir / "user" / "ledger").mkdir(parents=True)
    (clones_dir / "user" / "ledger" / "a.json").write_text("{}")
    (clones_dir / "profile").mkdir()
    (clones_dir / "profile" / ".parentlock").touch()
    (clones_dir / "owner.lock").touch()
    (clones_dir / "locked" / "owner.lock").mkdir(parents=True)
    (clones_dir / "dangling").symlink_to(tmp_path / "nowhere")
    before = snapshot(clones_dir)
    del before["."]  # its own time changes with what is made in it
    async with open_ledger(clones_dir, end_marked):
        pass
    after = snapshot(clones_dir)
    del after["."]
    assert after == before


def test_directory_that_nobody_may_look_into_is_not_touched() -> None:
    """Another user's directory does not keep the daemon from starting."""
    with unprivileged_directory() as clones_dir:
        (clones_dir / "another's").mkdir(0o000)
        folder = dead_ledger(clones_dir)
        assert sweep(clones_dir, end_marked) == 1
        assert not folder.exists()
        assert (clones_dir / "another's").is_dir()


@pytest.mark.parametrize("changed", [{"started": 1}, {"boot": "another"}], ids=["start", "boot"])
def test_process_that_got_a_listed_pid_is_not_touched(tmp_path: Path, changed: dict[str, Any]) -> None:
    """If a listed pid now belongs to another process, that process is left alone."""
    folder = dead_ledger(tmp_path)
    with sleeping() as process:
        found = OwnedProcess.of(process.pid)
        assert found is not None
        another = msgspec.structs.replace(found, **changed)
        write_entry(folder, processes=(another,))
        assert sweep(tmp_path, end_marked) == 1
        assert process.poll() is None
        assert not another.kill()
    assert listing(tmp_path) == []


@pytest.mark.parametrize("pid", [-1, 0, 1, 2**22 + 1, 2**31, 2**70], ids=str)
def test_pid_that_no_process_can_have_is_no_process(pid: int) -> None:
    """Pids from a broken entry, and other users' pids, do no harm."""
    assert not OwnedProcess(pid=pid, started=1, boot="").kill()


@pytest.mark.parametrize("marker", ["living-1.a", "dead-10.a", "dead-1", "dead-1a.a", "", "."])
def test_marker_of_another_owner_is_not_followed(tmp_path: Path, marker: str) -> None:
    """An entry reaches only its own daemon's processes, whatever it says."""
    folder = dead_ledger(tmp_path)
    write_entry(folder, marker=marker)
    with sleeping("living-1.a") as one, sleeping("dead-10.a") as two, sleeping("dead-1a.a") as three:
        with capture_logs() as logs:
            sweep(tmp_path, end_marked)
        assert [process.poll() for process in (one, two, three)] == [None] * 3
    assert "could not read" in logs[0]["event"]
    assert listing(tmp_path) == []


TORN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "torn": lambda whole: whole[:-5],
    "one byte": lambda whole: whole[:1],
    "zeros": lambda whole: b"\0" * len(whole),
    "binary": lambda _: bytes(range(256)),
    "null": lambda _: b"null",
    "list": lambda whole: b"[" + whole + b"]",
    "deep": lambda _: b"[" * 100_000,
    "deep in a field": lambda _: b'{"session":' + b"[" * 100_000,
    "field more": lambda whole: whole[:-1] + b',"command":"rm"}',
    "field less": lambda _: b'{"session":"a"}',
    "wrong type": lambda whole: whole.replace(b'"processes":[]', b'"processes":[["1"]]'),
    "wrong marker": lambda whole: whole.replace(b'"marker":"dead-1.b"', b'"marker":"living-1.b"'),
    "another's marker": lambda whole: whole.replace(b'"marker":"dead-1.b"', b'"marker":"dead-1.a"'),
    "another version": lambda whole: whole.replace(b'"version":1', b'"version":2'),
    "huge": lambda whole: whole[:-1] + b" " * (2 << 20) + b"}",
    "float pid": lambda whole: whole.replace(
        b'"processes":[]', b'"processes":[{"pid":1.5,"started":1,"boot":""}]'
    ),
}


@pytest.mark.parametrize("tear", TORN.values(), ids=TORN.keys())
def test_entry_that_cant_be_read_is_reported_and_costs_nothing_else(
    tmp_path: Path, tear: Callable[[bytes], bytes]
) -> None:
    """The file's name tells whose processes to end; the log says that the entry could not be read."""
    folder = dead_ledger(tmp_path)
    write_entry(folder, "a")
    torn = folder / "ledger" / "b.json"
    write_entry(folder, "b")
    torn.write_bytes(tear(torn.read_bytes()))
    write_entry(folder, "c")
    markers: list[str] = []
    with capture_logs() as logs:
        assert sweep(tmp_path, listing_in(markers)) == 1
    assert markers == ["dead-1.a", "dead-1.b", "dead-1.c"]
    assert [(entry["log_level"], entry.get("session_id")) for entry in logs] == [
        ("error", "b"),
        ("info", None),
    ]
    assert listing(tmp_path) == []


@pytest.mark.parametrize("kind", ["directory", "full directory", "fifo", "dangling", "loop", "outside"])
def test_entry_that_is_no_file_is_reported(tmp_path: Path, kind: str) -> None:
    """Anything with an entry's name counts as one, and is removed; links are not followed."""
    clones_dir = tmp_path / "state"
    folder = dead_ledger(clones_dir)
    path = folder / "ledger" / "b.json"
    match kind:
        case "directory":
            path.mkdir()
        case "full directory":
            (path / "inner").mkdir(parents=True)
        case "outside":
            outside = write_entry(dead_ledger(tmp_path / "outside"), "b")
            path.symlink_to(tmp_path / "outside" / "dead-1" / "ledger" / f"{outside.session}.json")
        case "fifo":
            os.mkfifo(path)
        case "dangling":
            path.symlink_to("nowhere")
        case _:
            path.symlink_to(path)
    write_entry(folder, "c")
    markers: list[str] = []
    with capture_logs() as logs:
        sweep(clones_dir, listing_in(markers))
    assert (markers, logs[0]["session_id"]) == (["dead-1.b", "dead-1.c"], "b")
    assert listing(clones_dir) == []


@pytest.mark.parametrize("name", ["b.part", "b.msgpack", "b", "b.json.tmp"])
def test_entry_of_another_name_says_whose_it_is(tmp_path: Path, name: str) -> None:
    """A truncated entry, or one of another version with another file name, counts too."""
    folder = dead_ledger(tmp_path)
    (folder / "ledger" / name).write_bytes(b"\x93\x01")
    (folder / "b").mkdir()
    markers: list[str] = []
    assert sweep(tmp_path, lambda markers: dict.fromkeys(markers, (7,))) == 1
    assert not (folder / "b").exists()
    assert sweep(tmp_path, listing_in(markers)) == 1
    assert markers == ["dead-1.b"]
    assert listing(tmp_path) == []


def test_paths_outside_are_not_followed(tmp_path: Path) -> None:
    """Only the daemon's own directory is removed; paths in an entry and links lead nowhere."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "file").write_text("mine")
    clones_dir = tmp_path / "state"
    folder = dead_ledger(clones_dir)
    write_entry(folder, "a", clone=str(mine), scratch=str(folder / ".." / ".." / "mine"))
    (folder / "b").symlink_to(mine)
    before = snapshot(mine)
    sweep(clones_dir, end_marked)
    assert snapshot(mine) == before
    assert listing(clones_dir) == []


def test_half_made_and_half_swept_ledgers_are_ended(tmp_path: Path) -> None:
    """A sweep handles a daemon that died while it made its own directory, or removed another's."""
    without_entries = tmp_path / "dead-2"
    without_entries.mkdir()
    (without_entries / "owner.lock").touch()
    part = dead_ledger(tmp_path)
    (part / "ledger" / "a.part").write_bytes(b'{"ses')
    assert sweep(tmp_path, end_marked) == 2
    assert listing(tmp_path) == []


def test_directory_that_cant_be_removed_is_reported_and_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that can't be removed neither stops the start nor keeps the others."""
    monkeypatch.setattr("greenroom.actors.profile.removal._PAUSE_S", 0)
    real = os.rmdir

    def rmdir(path: Any, *args: Any, **kwargs: Any) -> None:
        if str(path).endswith("stubborn"):
            raise OSError(16, "Device or resource busy")
        real(path, *args, **kwargs)

    stubborn = dead_ledger(tmp_path, "dead-1")
    (stubborn / "stubborn").mkdir()
    dead_ledger(tmp_path, "dead-2")
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(os, "rmdir", rmdir)
        assert sweep(tmp_path, end_marked) == 2
    assert [entry["log_level"] for entry in logs] == ["error", "info"]
    assert listing(tmp_path) == [stubborn]


def test_processes_that_cant_be_ended_are_reported_and_stay_listed(tmp_path: Path) -> None:
    """Processes that survive SIGKILL are logged and tried again; everything else is removed at once."""
    folder = dead_ledger(tmp_path)
    for session in ("a", "b", "c"):
        write_entry(folder, session)
        (folder / session).mkdir()
    (folder / "b.tmp").symlink_to(tmp_path)
    with capture_logs() as logs:
        assert sweep(tmp_path, lambda _: {"dead-1.b": [7, 8]}) == 1
    assert [(entry["log_level"], entry.get("session_id"), entry.get("pids")) for entry in logs] == [
        ("warning", "b", [7, 8]),
        ("info", None, None),
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["ledger", "owner.lock"]
    assert [path.name for path in (folder / "ledger").iterdir()] == ["b.json"]
    markers: list[str] = []
    assert sweep(tmp_path, listing_in(markers)) == 1
    assert markers == ["dead-1.b"]
    assert listing(tmp_path) == []


def test_lock_that_is_held_is_respected(tmp_path: Path) -> None:
    """Only the lock decides, not a directory's age or content."""
    folder = dead_ledger(tmp_path)
    write_entry(folder)
    with filelock.UnixFileLock(folder / "owner.lock"):
        assert sweep(tmp_path, end_nothing) == 0
    assert (folder / "ledger" / "a.json").is_file()
    assert sweep(tmp_path, end_marked) == 1


async def test_ledgers_opened_at_once_never_sweep_each_other(tmp_path: Path) -> None:
    """A ledger's owner keeps it, even if others start while the directory is made and locked."""

    async def live() -> None:
        async with open_ledger(tmp_path, end_nothing) as ledger, ledger.hold("a"):
            await trio.sleep(0.001)
            assert sorted(path.name for path in listing(ledger.folder)) == ["ledger", "owner.lock"]
            assert [path.name for path in listing(ledger.folder / "ledger")] == ["a.json"]

    for _ in range(15):
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(live)
        assert listing(tmp_path) == []


_STARTS_OFTEN = """
import sys
from pathlib import Path
import trio
from greenroom.actors.ledger import open_ledger

async def main():
    for _ in range(50):
        async with open_ledger(Path(sys.argv[1]), sys.exit) as ledger, ledger.hold("a") as entry:
            Path(entry.clone).mkdir()
            assert (ledger.folder / "ledger" / "a.json").is_file()
            assert (ledger.folder / "owner.lock").is_file()
            Path(entry.clone).rmdir()

trio.run(main)
"""


def test_daemons_starting_at_once_never_sweep_each_other(tmp_path: Path) -> None:
    """Of 150 concurrent daemons, none loses its ledger or leaves anything."""
    command = [sys.executable, "-c", _STARTS_OFTEN, str(tmp_path)]
    starters = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [starter.communicate(timeout=patience(60))[1] for starter in starters]
    assert errors == [""] * 3
    assert [starter.returncode for starter in starters] == [0] * 3
    assert listing(tmp_path) == []


def test_entries_are_readable_by_people(tmp_path: Path) -> None:
    """An operator finds JSON with descriptive names."""
    entry = write_entry(dead_ledger(tmp_path), processes=(OwnedProcess(pid=1, started=2, boot="b"),))
    shown = json.loads((tmp_path / "dead-1" / "ledger" / "a.json").read_text())
    assert shown["session"] == entry.session
    assert shown["processes"] == [{"pid": 1, "started": 2, "boot": "b"}]


def test_own_process_is_known() -> None:
    """A process's start is read as the kernel reports it, whatever the process's name is."""
    found = OwnedProcess.of(os.getpid())
    assert found is not None
    started = found.started / os.sysconf("SC_CLK_TCK") + psutil.boot_time()
    assert abs(started - psutil.Process().create_time()) < 5
    assert is_running(psutil.Process())
    assert OwnedProcess.of(2**22 + 1) is None


@pytest.mark.parametrize("rest", ["entry", "both", "directory"])
def test_folder_without_its_lock_is_swept(tmp_path: Path, rest: str) -> None:
    """If a failed sweep removed the lock file first, the rest is recognized by its name or its entries."""
    named = rest == "directory"
    folder = dead_ledger(tmp_path, f"{'0123456789abcdef' * 2}-12" if named else "dead-1")
    (folder / "owner.lock").unlink()
    if rest != "directory":
        write_entry(folder, "a")
    if rest != "entry":
        make_profile(folder / "a")
    with sleeping(f"{folder.name}.a") as process:
        assert sweep(tmp_path, end_marked) == 1
        assert process.wait(patience(5)) == -9
    assert listing(tmp_path) == []


async def test_living_daemon_whose_lock_file_was_removed_is_not_touched(tmp_path: Path) -> None:
    """Tmp cleaners remove old files, so the directory itself is locked too."""
    with open_daemon(tmp_path) as living:
        (living.folder / "owner.lock").unlink()
        assert sweep(tmp_path, end_nothing) == 0
        assert living.running() == [True, True]
        assert (living.folder / "a").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's files")
@pytest.mark.parametrize("others", ["folder", "lock", "entry"])
def test_another_users_ledger_ends_nothing(tmp_path: Path, others: str) -> None:
    """In a shared directory, other users' ledgers say nothing about our processes."""
    folder = dead_ledger(tmp_path)
    with sleeping() as process:
        found = OwnedProcess.of(process.pid)
        assert found is not None
        write_entry(folder, processes=(found,))
        path = {"folder": folder, "lock": folder / "owner.lock", "entry": folder / "ledger" / "a.json"}[
            others
        ]
        os.chown(path, 65534, 65534)
        assert sweep(tmp_path, end_marked) == (others == "entry")
        assert process.poll() is None
    assert folder.exists() == (others != "entry")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run another user's process")
def test_another_users_process_is_not_ended(tmp_path: Path) -> None:
    """Even if our own entry lists another user's process, it can't be ours."""
    folder = dead_ledger(tmp_path)
    with subprocess.Popen(["sleep", "600"], user=65534) as process:
        try:
            found = OwnedProcess.of(process.pid)
            assert found is not None
            write_entry(folder, processes=(found,))
            assert sweep(tmp_path, lambda _: {}) == 1
            assert process.poll() is None
        finally:
            process.kill()


def test_processes_of_a_lost_entry_that_cant_be_ended_stay_on_record(tmp_path: Path) -> None:
    """Only the directory still names such processes. An empty entry takes its place when it is removed."""
    folder = dead_ledger(tmp_path)
    (folder / "ledger").rmdir()
    (folder / "ledger").write_text("damaged")
    make_profile(folder / "a")
    with capture_logs() as logs:
        assert sweep(tmp_path, lambda markers: dict.fromkeys(markers, (7,))) == 1
    assert "could not end" in logs[-2]["event"]
    assert sorted(path.name for path in folder.iterdir()) == ["ledger", "owner.lock"]
    markers: list[str] = []
    assert sweep(tmp_path, listing_in(markers)) == 1
    assert markers == ["dead-1.a"]
    assert listing(tmp_path) == []


def test_deep_and_locked_directories_of_dead_sessions_are_removed() -> None:
    """Whatever a page's process could leave, its cookies don't stay on the disk."""
    with unprivileged_directory() as clones_dir:
        folder = dead_ledger(clones_dir)
        (folder / "a" / "locked" / "inner").mkdir(parents=True)
        (folder / "a" / "locked").chmod(0)
        (folder / "a").chmod(0)
        assert sweep(clones_dir, listing_in([])) == 1
        assert listing(clones_dir) == []


def test_directory_swapped_while_it_is_swept_is_not_followed(tmp_path: Path) -> None:
    """Otherwise anybody who can write to the clones directory could make root's sweep delete root's files."""
    mine = make_profile(tmp_path / "mine")
    before = snapshot(mine)
    clones_dir = tmp_path / "state"
    folder = dead_ledger(clones_dir)
    write_entry(folder)
    make_profile(folder / "a")

    def swap(_: Collection[str]) -> dict[str, list[int]]:
        folder.rename(tmp_path / "taken")
        folder.symlink_to(mine)
        return {}

    with capture_logs():
        sweep(clones_dir, swap)
    assert snapshot(mine) == before
    assert not (tmp_path / "taken" / "a").exists()


@pytest.mark.parametrize("what", ["ledger/a.json", "ledger", "owner.lock", "."])
@pytest.mark.parametrize("mode", [0o000, 0o500], ids=oct)
def test_permissions_that_somebody_took_away_are_taken_back(what: str, mode: int) -> None:
    """Everything that is ours to remove is removed, even after `chmod -R a-w`."""
    with unprivileged_directory() as clones_dir:
        folder = dead_ledger(clones_dir)
        write_entry(folder)
        make_profile(folder / "a")
        (folder / what).chmod(mode)
        markers: list[str] = []
        found = sweep(clones_dir, listing_in(markers))
        if mode or what not in {".", "owner.lock"}:
            assert (found, markers) == (1, ["dead-1.a"])
            assert listing(clones_dir) == []
        else:
            assert found == 0  # it can't even be seen, or locked
            (folder / what).chmod(0o700)


def test_error_that_nobody_foresaw_costs_one_directory(tmp_path: Path) -> None:
    """A dead daemon does not keep a new one from starting; what it left stays for another sweep."""
    for owner in ("dead-1", "dead-2"):
        write_entry(dead_ledger(tmp_path, owner))

    def kill_marked(markers: Collection[str]) -> dict[str, list[int]]:
        if "dead-1.a" in markers:
            raise RuntimeError("a test")
        return {}

    with capture_logs() as logs:
        assert sweep(tmp_path, kill_marked) == 1
    assert [line["log_level"] for line in logs] == ["error", "info"]
    assert listing(tmp_path) == [tmp_path / "dead-1"]
    assert sweep(tmp_path, listing_in([])) == 1
    assert listing(tmp_path) == []
